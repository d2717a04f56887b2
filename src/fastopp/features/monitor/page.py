"""/oppman/monitor: traffic, times, errors, slow queries, instances and tasks of an hour, a day or a week."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final, cast

import anyio
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field
from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.core.dependencies import ClockDep, DatabaseDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.database.session import Database
from fastopp.errors import FastOppError, NotFound
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.jobs.watch import server_stops
from fastopp.features.monitor import charts, reading, wording
from fastopp.features.monitor import report as reports
from fastopp.features.monitor.models import MonitorInstance
from fastopp.features.monitor.spans import SPANS, SpanName, Window, window
from fastopp.features.monitor.storage_use import known_use, storage_use
from fastopp.recording import REQUEST, TASK
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PAGE: Final = "/oppman/monitor"
SHOWN_STATEMENTS: Final = 20
MAX_NAME: Final = 255  # characters, as the table has it
LOOK: Final = 5.0  # seconds between two looks at the database: processes write every ten
MAX_STREAM: Final = 300.0  # seconds; then the browser connects again, and its rights are looked at again
REFRESH: Final[dict[SpanName, int]] = {"hour": 20, "day": 60, "week": 120}
"""Seconds after which an open page asks for new figures."""
KEPT_FOR: Final[dict[SpanName, int]] = {"day": 20, "week": 40}
"""Seconds for which a process keeps what it has read: a busy day is much to add up, and changes little meanwhile."""

_Figures = tuple[reading.Work, list[reading.SlowStatement]]

router = APIRouter(prefix=PAGE, tags=["health"], route_class=OperationRoute, responses=problems(401, 403, 422, 503))


async def _may_stream(runtime: RuntimeDep) -> None:
    """Dependency: where nothing runs between requests, a stream would cost what an idle server does not."""
    if not runtime.settings.platform.background_cpu:
        raise NotFound


class Wanted(BaseModel):
    """The parameters of the page."""

    span: Annotated[SpanName, Field(description="The time up to now.")] = "hour"
    sort: Annotated[reports.SortKey, Field(description="The order of routes, largest first.")] = "total"
    route: Annotated[CleanText, Field(max_length=MAX_NAME, description="Only requests of this route.")] = ""
    method: Annotated[CleanText, Field(max_length=16, description="Only requests with this method.")] = ""
    task: Annotated[CleanText, Field(max_length=MAX_NAME, description="Only attempts of this task.")] = ""

    def only(self) -> reading.Only:
        """Return the series that are wanted."""
        if self.task:
            return reading.Only(TASK, self.task)
        return reading.Only(REQUEST, self.route, self.method) if self.route else reading.Only()


@router.get("", summary="Figures of requests, queries, tasks and instances")
async def monitor_page(
    request: Request, runtime: RuntimeDep, operator: DetachedOperator, wanted: Annotated[Wanted, Query()]
) -> Response:
    """The page; for htmx its figures alone; JSON for programs."""
    shown = window(SPANS[wanted.span], runtime.clock.time())
    found = await read_report(runtime, shown, wanted)
    headers = NO_STORE | {"Vary": "HX-Request, Accept"}
    if not (is_htmx(request) or prefers_html(request)):
        return JSONResponse(found, headers=headers)
    context = {
        "wanted": wanted.model_dump(),
        "found": found,
        "charts": _charts(found["slots"]),
        "axis": _axis(shown),
        "stream": runtime.settings.platform.background_cpu,
        "refresh": REFRESH[wanted.span],
        "known_storage": known_use(runtime),
        "wording": wording,
        "now": runtime.clock.time(),
    }
    return render(request, "ops/_monitor.html" if is_htmx(request) else "ops/monitor.html", context, headers=headers)


async def read_report(runtime: Runtime, shown: Window, wanted: Wanted) -> reports.Report:
    """Return the report of a window, as programs get it. Raises DatabaseUnavailable, TablesMissing."""
    async with runtime.database.read() as session:
        work, statements = await _read_figures(session, runtime, shown, wanted.only())
        instances, number = await reading.read_instances(session, shown.since)
    counts = await runtime.tasks.counts()
    routes, number_of_routes = reports.routes_report(work.series, wanted.sort)
    tasks, number_of_tasks = reports.tasks_report(work.series)
    now = runtime.clock.time()
    return {
        "span": wanted.span,
        "since": shown.since,
        "until": shown.until,
        "slot": shown.span.slot,
        "recorded": runtime.settings.monitor,
        "partial": work.is_partial,
        "requests": reports.requests_report(point for point in work.points if point.kind == REQUEST),
        "background": reports.background_report(work.points),
        **reports.starts_report(work.points),
        "slots": reports.slots_report(work.points, shown),
        "routes": routes,
        "number_of_routes": number_of_routes,
        "tasks": tasks,
        "number_of_tasks": number_of_tasks,
        "statements": reports.statements_report(statements),
        "instances": reports.instances_report(instances, now),
        "number_of_instances": number,
        "queue": {
            "statuses": counts.statuses,
            "stalled": counts.stalled,
            "oldest_waiting": counts.oldest_waiting,
            "workers": counts.workers,
        },
    }


async def _read_figures(session: AsyncSession, runtime: Runtime, shown: Window, only: reading.Only) -> _Figures:
    key = ("monitor", shown.span.name, str(shown.until))
    known = runtime.cache.get(*key) if only == reading.Only() else None
    if known is not None:
        return cast("_Figures", known)
    work = await reading.read_work(session, shown, only)
    if only != reading.Only():
        return work, []
    found = work, await reading.read_statements(session, shown, SHOWN_STATEMENTS)
    if lifetime := KEPT_FOR.get(shown.span.name):
        runtime.cache.keep(*key, value=found, lifetime=lifetime)
    return found


@router.get("/events", include_in_schema=False, response_class=EventSourceResponse, dependencies=[Depends(_may_stream)])
async def follow(database: DatabaseDep, clock: ClockDep, operator: DetachedOperator) -> AsyncIterator[ServerSentEvent]:
    """`figures` events for the page, whenever a process has written figures."""
    async for state in watch(database, clock):
        yield ServerSentEvent(event="figures", data=state)


@router.get("/storage", summary="Storage that is used, against its quota")
async def storage(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
    """Counted at most every ten minutes by a process. A fragment for the page; JSON for programs."""
    use = await storage_use(runtime)
    headers = NO_STORE | {"Vary": "HX-Request, Accept"}
    if not (is_htmx(request) or prefers_html(request)):
        return JSONResponse(use.as_json(), headers=headers)
    context = {"use": use, "wording": wording}
    return render(request, "ops/_storage_use.html" if is_htmx(request) else "ops/storage_use.html", context,
                  headers=headers)  # fmt: skip


async def watch(database: Database, clock: Clock) -> AsyncIterator[int]:
    """Yield a number when a process has written figures, until the server stops, the database fails, or five minutes
    pass. Between two looks no session is open."""
    known, end = None, clock.monotonic() + MAX_STREAM
    while clock.monotonic() < end and not server_stops():
        try:
            # The client may go away at any moment. Cancelled in a query, a connection would be thrown away.
            with anyio.CancelScope(shield=True):
                async with database.read() as session:
                    state = (await session.exec(select(func.max(MonitorInstance.seen_at)))).one() or 0
        except FastOppError:
            return  # the browser connects again after a few seconds
        if state != known:
            yield state
            known = state
        await clock.sleep(LOOK)


def _charts(slots: list[reports.Report]) -> dict[str, charts.Chart]:
    def values(name: str) -> list[Any]:
        return [slot[name] for slot in slots]

    served = [slot["requests"] - slot["errors"] - slot["refused"] for slot in slots]
    worked = [slot["attempts"] - slot["failed_attempts"] for slot in slots]
    return {
        "traffic": charts.stacked_bars(values("errors"), values("refused"), served),
        "times": charts.steps(values("p99"), values("p95"), values("p50")),
        "attempts": charts.stacked_bars(values("failed_attempts"), worked),
        "starts": charts.stacked_bars(values("starts")),
    }


def _axis(shown: Window) -> list[str]:
    """Return the labels below a chart: its beginning, its middle, and its end."""
    with_day = shown.span.name != "hour"
    middle = (shown.since + shown.until) // 2
    return [wording.moment(each, with_day=with_day) for each in (shown.since, middle)] + ["now"]
