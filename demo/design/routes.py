"""The design page, and the pieces of it that htmx fetches. Nothing that is sent here is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request, Response

from demo.design.forms import MAX_NAME, MAX_SLOGAN, Enquiry, Slogan
from demo.design.samples import HEADLINE_PAGES, HEADLINES, PICTURES, TOPICS, WEEKS, headlines
from fastopp.errors import NotFound
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.web.checked_form import CheckedForm, FormOf, check_form
from fastopp.web.templating import render

router = APIRouter(include_in_schema=False)

SLOGAN = "Small pages, quick answers"
NO_STORE = {"Cache-Control": "no-store"}

Tab = Literal["writing", "analysis", "audiences"]


@router.get("/design-demo")
async def page(request: Request, user: OptionalUser, tab: Tab = "writing") -> Response:
    """The page; `tab` is the open one."""
    return render(request, "design/page.html", _page_context(tab))


@router.get("/ai-stats")
async def stats(request: Request, week: Annotated[int, Query(ge=1, le=len(WEEKS))] = len(WEEKS)) -> Response:
    """A fragment with the sample figures of a week, the last by default."""
    return render(request, "design/stats.html", {"week": WEEKS[week - 1], "weeks": WEEKS})


@router.post("/marketing-demo")
async def send_enquiry(request: Request, user: OptionalUser, form: FormOf[Enquiry]) -> Response:
    """Check the contact form: a success panel, or 422 and the form with its mistakes marked. Nothing is stored.

    For htmx the answer is a fragment, for a browser without scripts the whole page.
    """
    context = {"form": form, "max_name": MAX_NAME}
    if "hx-request" in request.headers:
        return render(request, "design/enquiry.html", context, status_code=form.status_code, headers=NO_STORE)
    whole = _page_context("writing") | context
    return render(request, "design/page.html", whole, status_code=form.status_code, headers=NO_STORE)


@router.get("/design-demo/slogan")
async def show_slogan(request: Request, text: str = SLOGAN) -> Response:
    """The line as it is read, with a button to edit it."""
    shown = text if check_form(Slogan, {"text": text}).data else SLOGAN
    return render(request, "design/slogan.html", {"slogan": shown})


@router.get("/design-demo/slogan/edit")
async def edit_slogan(request: Request, text: str = SLOGAN) -> Response:
    """The same line as a form."""
    before = text if check_form(Slogan, {"text": text}).data else SLOGAN
    return _slogan_form(request, CheckedForm({"text": before}), before=before)


@router.post("/design-demo/slogan")
async def save_slogan(request: Request, form: FormOf[Slogan], before: Annotated[str, Form()] = SLOGAN) -> Response:
    """The changed line, or 422 and the form with its mistake."""
    if form.data is None:
        return _slogan_form(request, form, before=before)
    return render(request, "design/slogan.html", {"slogan": form.data.text}, headers=NO_STORE)


@router.get("/design-demo/pictures/{slug}")
async def picture(request: Request, slug: str) -> Response:
    """Show a picture in the dialog."""
    found = next((picture for picture in PICTURES if picture.slug == slug), None)
    if found is None:
        raise NotFound("There is no such picture.")
    return render(request, "design/picture.html", {"picture": found})


@router.get("/design-demo/headlines/{number}")
async def headline_page(request: Request, number: Annotated[int, Path(ge=1, le=HEADLINE_PAGES)]) -> Response:
    """The next sample headlines, and a row that fetches those after them when it comes into view."""
    return render(request, "design/headlines.html", _headlines(number) | {"out_of_band": True})


def _page_context(tab: str) -> dict[str, Any]:
    return {
        "topics": TOPICS,
        "topic": next(topic for topic in TOPICS if topic.slug == tab),
        "pictures": PICTURES,
        "slogan": SLOGAN,
        "form": CheckedForm(),
        "max_name": MAX_NAME,
        "out_of_band": False,
        **_headlines(1),
    }


def _headlines(number: int) -> dict[str, Any]:
    shown = headlines(number)
    before = len(HEADLINES[: (number - 1) * len(headlines(1))])
    return {
        "headlines": shown,
        "first": before + 1,
        "shown": before + len(shown),
        "total": len(HEADLINES),
        "next_page": number + 1 if number < HEADLINE_PAGES else None,
    }


def _slogan_form(request: Request, form: CheckedForm[Slogan], *, before: str) -> Response:
    context = {"form": form, "before": before, "max_slogan": MAX_SLOGAN}
    return render(request, "design/slogan_form.html", context, status_code=form.status_code, headers=NO_STORE)
