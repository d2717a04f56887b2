"""/oppman/mail: what was sent, what waits and what failed; in development also what the mails say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from pydantic import BaseModel, Field

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep, TasksDep
from fastopp.core.runtime import Runtime
from fastopp.errors import NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.current_user import Operator
from fastopp.features.jobs.page import pages_work
from fastopp.features.mail import outgoing
from fastopp.features.mail.models import MailMessage, State
from fastopp.features.mail.service import SEND
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.templating import render

PAGE = "/oppman/mail"
PER_PAGE = 25
MAX_ID = 2**31 - 1

# Of a mail's own HTML, which may have styles but no scripts, and which nothing is loaded for.
PREVIEW = {
    "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; "
    "style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}

router = APIRouter(
    prefix=PAGE, tags=["mail"], route_class=OperationRoute, responses=problems(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=MAX_ID)]


class Wanted(BaseModel):
    """The filter of the page."""

    state: Annotated[State | Literal[""], Field(description="List only mails in this state.")] = ""
    before: Annotated[int | None, Field(ge=1, le=MAX_ID, description="List only mails older than this number.")] = None


@router.get("", summary="Mails, and how many there are in each state")
async def mails_page(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    operator: Operator,
    wanted: Annotated[Wanted, Query()],
) -> Response:
    """The page; JSON for programs. Bodies are not listed."""
    found = await outgoing.list_mails(session, state=wanted.state or None, before=wanted.before, limit=PER_PAGE + 1)
    shown, older = found[:PER_PAGE], found[PER_PAGE - 1].id if len(found) > PER_PAGE else None
    counts = await outgoing.count_mails(session)
    headers = NO_STORE | {"Vary": "Accept"}
    if not prefers_html(request):
        answer = {
            "mails": [_as_json(mail, runtime) for mail in shown],
            "older": older,
            "counts": {state: count.rows for state, count in counts.items()},
        }
        return JSONResponse(answer, headers=headers)
    context = {
        "wanted": wanted.model_dump(),
        "mails": shown,
        "older": older,
        "figures": counts,
        "expectation": _expectation(runtime),
    }
    return render(request, "ops/mail.html", context, headers=headers)


@router.get("/{mail_id}", summary="One mail")
async def show(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator, mail_id: Number
) -> Response:
    """Its state; in development also its text."""
    return _shown(request, runtime, await outgoing.get_mail(session, mail_id))


@router.get("/{mail_id}/html", summary="The HTML of a mail, in development", response_class=HTMLResponse)
async def show_html(runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator, mail_id: Number) -> Response:
    """404 outside development: a mail may hold what only its recipient may know."""
    mail = await outgoing.get_mail(session, mail_id)
    if not runtime.settings.development or mail.html is None:
        raise NotFound
    return HTMLResponse(mail.html, headers=NO_STORE | PREVIEW)


@router.post("/{mail_id}/again", summary="Send a failed mail again")
async def send_again(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    tasks: TasksDep,
    operator: Operator,
    mail_id: Number,
) -> Response:
    """409 when it has not failed, or is older than a day."""
    mail = await outgoing.queue_again(session, mail_id, runtime.clock.now())
    await tasks.queue(SEND, mail=mail_id)
    if operator is not None:
        await audit.record(session, operator, "retry", "mail_messages", mail_id, {"recipient": mail.recipient}, request)
    if is_htmx(request):
        return Response(status_code=204, headers=NO_STORE | {"HX-Redirect": f"{PAGE}/{mail_id}"})
    if prefers_html(request):
        return RedirectResponse(f"{PAGE}/{mail_id}", 303, NO_STORE)
    return JSONResponse(_as_json(mail, runtime), headers=NO_STORE)


def _as_json(mail: MailMessage, runtime: Runtime) -> dict[str, Any]:
    """Return a mail for programs, without its body; outside development without its subject, which may have a code."""
    hidden = {"text", "html"} if runtime.settings.development else {"text", "html", "subject"}
    return mail.model_dump(mode="json", exclude=hidden)


def _shown(request: Request, runtime: Runtime, mail: MailMessage) -> Response:
    headers = NO_STORE | {"Vary": "Accept"}
    if not prefers_html(request):
        return JSONResponse(_as_json(mail, runtime), headers=headers)
    readable = runtime.settings.development
    context = {
        "mail": mail,
        "text": mail.text if readable else None,
        "has_html": readable and mail.html is not None,
        "may_send_again": mail.state == "failed" and mail.text is not None,
        "expectation": _expectation(runtime),
    }
    return render(request, "ops/mail_message.html", context, headers=headers)


def _expectation(runtime: Runtime) -> str:
    """Say what will become of mails that wait."""
    settings = runtime.settings
    if settings.mail is None:
        return "MAIL_URL is not set: pages that send mail answer with an error, and mails that wait are not sent."
    if pages_work(runtime):
        return "Mails that wait are sent when tasks run: a scheduler calls /async/drain, or the page of tasks is open."
    return "Mails that wait are sent within seconds. One that the mail server did not take is tried again for 18 hours."
