"""/oppman/alerts: open and past incidents, the rules; mute them, evaluate them now, send a test message."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import Conflict, NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.current_user import Operator
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.accounts.models import User
from fastopp.features.alerts import incidents
from fastopp.features.alerts.chosen import rules_of
from fastopp.features.alerts.flush import evaluate_now
from fastopp.features.alerts.models import ALL
from fastopp.features.alerts.overview import look
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.templating import render

PAGE: Final = "/oppman/alerts"
MAX_HOURS: Final = 24 * 30

router = APIRouter(
    prefix=PAGE, tags=["alerts"], route_class=OperationRoute, responses=problems(401, 403, 404, 409, 422, 503)
)

RuleName = Annotated[
    str, Path(pattern=r"^[a-z0-9_][a-z0-9_.-]{0,99}$", description="The id of a rule, or `all` for every one.")
]


class RuleMissing(NotFound):
    """There is no such rule."""


class NoDestination(Conflict):
    """There is no destination for messages."""

    hint = "Set ALERT_WEBHOOKS, or ALERT_MAIL and MAIL_URL."


@router.get("", summary="Incidents, and the rules with their newest values")
async def alerts_page(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator
) -> Response:
    """The page; JSON for programs."""
    overview = await look(session, runtime)
    headers = NO_STORE | {"Vary": "Accept"}
    if not prefers_html(request):
        return JSONResponse(overview.as_json(), headers=headers)
    return render(request, "ops/alerts.html", {"alerts": overview}, headers=headers)


@router.post("/evaluate", summary="Evaluate the rules now")
async def evaluate(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
    """Nothing happens if an instance has done so in the last half minute. Answers as the page does."""
    if runtime.settings.alert_choice.enabled:
        await evaluate_now(runtime)
    if is_htmx(request) or prefers_html(request):
        return _to_page(request)
    async with runtime.database.read() as session:
        return JSONResponse((await look(session, runtime)).as_json(), headers=NO_STORE)


@router.post("/test", summary="Queue a test message to each destination")
async def test(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator) -> Response:
    """409 without a destination."""
    count = await incidents.queue(session, runtime, "test", [None])
    if not count:
        raise NoDestination
    if is_htmx(request) or prefers_html(request):
        return _to_page(request)
    return JSONResponse({"status": "success", "message": f"{count} message(s) queued."}, headers=NO_STORE)


@router.post("/{rule}/mute", summary="Send no messages of a rule for a while")
async def mute(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    operator: Operator,
    rule: RuleName,
    hours: Annotated[int, Form(ge=1, le=MAX_HOURS, description="For so long.")] = 24,
) -> Response:
    """Incidents are recorded. One that is still open at the end of the time is reported then."""
    return await _mute(request, runtime, session, operator, rule, hours)


@router.post("/{rule}/unmute", summary="Send messages of a rule again")
async def unmute(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, operator: Operator, rule: RuleName
) -> Response:
    """Undo `mute`."""
    return await _mute(request, runtime, session, operator, rule, None)


async def _mute(
    request: Request, runtime: Runtime, session: AsyncSession, operator: User | None, rule: str, hours: int | None
) -> Response:
    if rule != ALL and all(each.id != rule for each in rules_of(runtime)):
        raise RuleMissing
    until = runtime.clock.now() + timedelta(hours=hours) if hours else None
    await incidents.mute(session, rule, until)
    if operator is not None:
        changes: dict[str, Any] = {"rule": rule, "muted_until": until.isoformat() if until else None}
        await audit.record(session, operator, "update", "alert_rules", rule, changes, request)
    if is_htmx(request) or prefers_html(request):
        return _to_page(request)
    return JSONResponse({"rule": rule, "muted_until": until.isoformat() if until else None}, headers=NO_STORE)


def _to_page(request: Request) -> Response:
    if is_htmx(request):
        return Response(status_code=204, headers=NO_STORE | {"HX-Redirect": PAGE})
    return RedirectResponse(PAGE, 303, NO_STORE)
