"""/oppman/errors: what failed, how often and where; resolve, ignore and reopen it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path as FilePath
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.release_id import release_id
from fastopp.core.runtime import Runtime
from fastopp.features.accounts import audit
from fastopp.features.accounts.current_user import Operator
from fastopp.features.accounts.models import User
from fastopp.features.errors import groups
from fastopp.features.errors.models import EVENTS_OF_GROUP, ErrorEvent, ErrorGroup, State
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PAGE: Final = "/oppman/errors"
PER_PAGE: Final = 25
MAX_ID: Final = 2**31 - 1
MAX_NUMBER: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

router = APIRouter(
    prefix=PAGE, tags=["errors"], route_class=OperationRoute, responses=problems(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=MAX_ID)]


class Wanted(BaseModel):
    """The filter of the page."""

    state: Annotated[State | Literal["all"], Field(description="List only errors in this state.")] = "open"
    q: Annotated[
        CleanText,
        Field(
            max_length=groups.MAX_QUERY,
            description="The id of a request, as the error page shows it; or a part of the type, message or place.",
        ),
    ] = ""
    before: Annotated[str, Field(pattern=r"^(\d{1,16}-\d{1,9})?$", description="`older` of the page before.")] = ""


class WantedEvent(BaseModel):
    """The occurrence that is shown in full; by default the newest."""

    event: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, description="Number of the occurrence.")] = None
    request_id: Annotated[CleanText, Field(max_length=groups.MAX_QUERY, description="Or the request's id.")] = ""


@router.get("", summary="Errors, and how many there are in each state")
async def errors_page(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    operator: Operator,
    wanted: Annotated[Wanted, Query()],
) -> Response:
    """The page; JSON for programs."""
    found = await groups.list_groups(
        session,
        state=None if wanted.state == "all" else wanted.state,
        search=wanted.q.strip(),
        before=_moment(wanted.before),
        limit=PER_PAGE + 1,
    )
    shown, older = found[:PER_PAGE], _address(found[PER_PAGE - 1]) if len(found) > PER_PAGE else None
    counts = await groups.count_groups(session)
    headers = NO_STORE | {"Vary": "Accept"}
    if not prefers_html(request):
        errors = [group.model_dump(mode="json") for group in shown]
        return JSONResponse({"errors": errors, "older": older, "counts": counts}, headers=headers)
    context = {
        "wanted": wanted.model_dump(),
        "errors": shown,
        "older": older,
        "figures": counts,
        "recorded": runtime.settings.errors,
    }
    return render(request, "ops/errors.html", context, headers=headers)


@router.get("/{error_id}", summary="One error, and its occurrences")
async def show(
    request: Request,
    session: PrimarySessionDep,
    operator: Operator,
    error_id: Number,
    wanted: Annotated[WantedEvent, Query()],
) -> Response:
    """One of its occurrences in full: the one that is asked for, or else the newest."""
    group = await groups.get_group(session, error_id)
    event = await groups.get_event(session, error_id, wanted.event, wanted.request_id.strip())
    if event is None:
        event = await groups.get_event(session, error_id)
    return await _shown(request, session, group, event)


@router.post("/{error_id}/resolve", summary="Resolve an error")
async def resolve(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    operator: Operator,
    error_id: Number,
    by_next: Annotated[bool, Form(description="The release that comes next resolves it.")] = False,  # noqa: FBT002 - a form's field
) -> Response:
    """It is open again as soon as it occurs again, but for an old instance that still runs an earlier release."""
    return await _changed(request, runtime, session, operator, error_id, "resolved", by_next=by_next)


@router.post("/{error_id}/ignore", summary="Ignore an error")
async def ignore(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator, error_id: Number
) -> Response:
    """It is counted, but neither listed as open nor reported again."""
    return await _changed(request, runtime, session, operator, error_id, "ignored")


@router.post("/{error_id}/reopen", summary="Open a resolved or ignored error again")
async def reopen(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator, error_id: Number
) -> Response:
    """Undo `resolve` or `ignore`."""
    return await _changed(request, runtime, session, operator, error_id, "open")


async def _changed(
    request: Request,
    runtime: Runtime,
    session: AsyncSession,
    operator: User | None,
    error_id: int,
    state: State,
    *,
    by_next: bool = False,
) -> Response:
    release, now = release_id(runtime.settings, FilePath.cwd()), runtime.clock.now()
    group = await groups.change_state(session, error_id, state, now=now, release=release, by_next=by_next)
    if operator is not None:
        changes = {"state": state, "type": group.type}
        await audit.record(session, operator, "update", "error_groups", error_id, changes, request)
    if is_htmx(request):
        return Response(status_code=204, headers=NO_STORE | {"HX-Redirect": f"{PAGE}/{error_id}"})
    if prefers_html(request):
        return RedirectResponse(f"{PAGE}/{error_id}", 303, NO_STORE)
    return JSONResponse(group.model_dump(mode="json"), headers=NO_STORE)


async def _shown(request: Request, session: AsyncSession, group: ErrorGroup, event: ErrorEvent | None) -> Response:
    assert group.id is not None  # noqa: S101 - it was read
    events = await groups.list_events(session, group.id)
    headers = NO_STORE | {"Vary": "Accept"}
    if not prefers_html(request):
        brief = [each.model_dump(mode="json", exclude={"traceback", "context", "slot", "id"}) for each in events]
        answer: dict[str, Any] = group.model_dump(mode="json")
        answer |= {"event": event.model_dump(mode="json", exclude={"slot", "id"}) if event else None, "events": brief}
        return JSONResponse(answer, headers=headers)
    context = {"error": group, "event": event, "events": events, "most": EVENTS_OF_GROUP}
    return render(request, "ops/error.html", context, headers=headers)


def _address(group: ErrorGroup) -> str:
    """Return `before` of the page that follows this group."""
    return f"{(group.last_seen - _EPOCH) // _MICROSECOND}-{group.id}"


def _moment(before: str) -> tuple[datetime, int] | None:
    microseconds, _, last_id = before.partition("-")
    return (_EPOCH + int(microseconds) * _MICROSECOND, int(last_id)) if before else None
