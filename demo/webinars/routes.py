"""The public showcase of attendees, and its JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic_core import to_json

from demo.webinars import registrants, repository
from demo.webinars.permissions import PAGE_RIGHTS, TABLE
from demo.webinars.repository import MAX_PAGE, MAX_PER_PAGE, RegistrantFilter
from demo.webinars.schemas import NEEDS_DATABASE, AttendeeItem, AttendeeList
from demo.webinars.showcase import by_webinar
from fastopp.core.dependencies import SessionDep
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.web.cached import cached
from fastopp.web.templating import render

router = APIRouter(tags=["webinars"])
router.include_router(registrants.router)

SHOWN = 200  # attendees on the page

Page = Annotated[int, Query(ge=1, le=MAX_PAGE)]
PerPage = Annotated[int, Query(ge=1, le=MAX_PER_PAGE)]


@router.get("/webinar-demo", include_in_schema=False)
@cached(60, stale=3600, tags=["webinars"])
async def showcase(request: Request, session: SessionDep, user: OptionalUser) -> Response:
    """Everybody who may be shown, by webinar. While the database is down, visitors see the page of before.

    If none is cached it says so, and tries again.
    """
    try:
        attendees, webinars, companies = await repository.count_public(session)
        groups = by_webinar(await repository.list_public(session, per_page=SHOWN))
    except (DatabaseUnavailable, TablesMissing) as error:
        swap = {"HX-Retarget": "#showcase", "HX-Reselect": "#showcase", "HX-Reswap": "outerHTML"}
        return render(
            request, "webinars/showcase_down.html", {"problem": error}, status_code=503, headers=error.headers | swap
        )
    context = {"webinars": groups, "attendee_count": attendees, "webinar_count": webinars, "company_count": companies}
    context["hidden_count"] = attendees - sum(len(group.attendees) for group in groups)
    return render(request, "webinars/showcase.html", context)


@router.get(
    "/api/webinar-attendees",
    summary="Attendees that everybody may see",
    response_class=Response,
    responses={200: {"model": AttendeeList, "description": "The attendees"}, **NEEDS_DATABASE},
)
async def list_attendees(
    request: Request, session: SessionDep, user: OptionalUser, page: Page = 1, per_page: PerPage = MAX_PER_PAGE
) -> Response:
    """Public registrants; `email`, `group` and `notes` are null. Staff get all whom they may see, with everything.

    With the header `HX-Request` the answer is a piece of HTML with the public ones.
    """
    if "hx-request" in request.headers:
        shown = await repository.list_public(session, page=page, per_page=per_page)
        return render(request, "webinars/attendees.html", {"webinars": by_webinar(shown)})
    if user is not None and PAGE_RIGHTS.can(user, "view", TABLE):
        wanted = RegistrantFilter(page=page)
        found = await repository.list_page(session, user, wanted, per_page=per_page)
        attendees = [AttendeeItem.model_validate(registrant.model_dump()) for registrant in found]
    else:
        shown = await repository.list_public(session, page=page, per_page=per_page)
        attendees = [AttendeeItem.for_everybody(registrant) for registrant in shown]
    return _json({"attendees": attendees})


def _json(content: dict[str, Any]) -> Response:
    return Response(to_json(content), media_type="application/json", headers={"Vary": "HX-Request, Cookie"})
