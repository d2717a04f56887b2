"""`POST /async/drain`: the queue is worked inside the request, for a scheduler or the application's own wake-up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy import func, select

from fastopp.core.dependencies import RuntimeDep, get_runtime
from fastopp.core.runtime import Runtime
from fastopp.errors import Unavailable
from fastopp.features.accounts.current_user import operator
from fastopp.features.alerts.flush import evaluate_now
from fastopp.features.alerts.heartbeat import beat
from fastopp.features.jobs.triggers import IdempotencyKey
from fastopp.features.jobs.woken import serve_wake
from fastopp.platforms import strictest
from fastopp.tasks import idempotency
from fastopp.tasks.idempotency import RequestKey
from fastopp.tasks.models import jobs
from fastopp.tasks.queue.report import DrainReport
from fastopp.tasks.wake import waker_of, without_waking
from fastopp.tasks.wake_tokens import SCHEME, Wake, read_token
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems
from fastopp.web.doors import guarded_by

log = logging.getLogger(__name__)

MAX_SECONDS = strictest.REQUEST_BUDGET  # where the platform sets no limit: no scheduler waits longer

# Seconds that a drain which the application has asked for itself waits for a task that is to be tried again: long
# enough for the first two pauses of `Retry`, since no other request may arrive before the next task is started.
PATIENCE = 60.0

ALERTS_LIMIT = 15.0  # seconds that a drain waits at most for the evaluation of alerts

NAME = "drain"  # of these requests among those of tasks; `POST /async/drain` is this route, so no task has it

AGAIN = {"Retry-After": "1"}

_REPORT: dict[str, Any] = {"type": "object", "additionalProperties": True}

router = APIRouter(prefix="/async", tags=["async"], responses=problems(400, 401, 403, 409, 413, 422))


async def _drain_door(request: Request) -> Wake | None:
    return await _woken_or_operator(request, get_runtime(request))


@guarded_by(_drain_door)
async def _woken_or_operator(request: Request, runtime: RuntimeDep) -> Wake | None:
    """Return the token of the application's own wake-up, or None for an operator. Raises WakeRefused, NotAnOperator."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == SCHEME.lower():
        return read_token(token.strip(), runtime.settings, clock=runtime.clock)
    async with runtime.database.read() as session:
        await operator(request, session, runtime.database, runtime.settings, runtime.clock)
    return None


@router.post(
    "/drain",
    summary="Run queued tasks",
    max_body_size=strictest.ASYNC_BODY,
    responses={
        200: {"description": "The number of tasks.", "content": {"application/json": {"schema": _REPORT}}},
        503: {
            "description": "The time was up, and tasks are left: call again.",
            "content": {"application/json": {"schema": _REPORT}, "application/problem+json": {"schema": _REPORT}},
        },
    },
)
async def drain(
    runtime: RuntimeDep,
    wake: Annotated[Wake | None, Depends(_woken_or_operator)],
    seconds: Annotated[
        float | None, Query(gt=0, le=MAX_SECONDS, description="Stop after so long; by default as late as possible.")
    ] = None,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Tasks are worked until none is left or the time is up. One that fails is in `failed` and does not fail the drain.

    Where the application wakes itself, the rest is taken by another wake-up; elsewhere 503 asks for another call.
    """
    limit = runtime.settings.platform.request_budget or MAX_SECONDS
    budget = min(seconds or limit, limit)
    key = RequestKey.of(idempotency_key)
    if wake is None and key is not None:
        return await _drain_once(runtime, budget, key)
    if wake is None:
        return await _drain(runtime, budget)

    async def serve(seconds: float, is_mine: Callable[[], bool]) -> JSONResponse:
        return await _drain(runtime, seconds, patience=PATIENCE, is_wanted=is_mine)

    answer = await serve_wake(runtime, wake, budget, serve)
    return answer or _answer(200, "ignored", "This request has been served before.", {})


async def _drain_once(runtime: Runtime, budget: float, key: RequestKey) -> JSONResponse:
    """Serve a request of an operator that may be delivered again."""
    claimed = await idempotency.claim(runtime.database, key, NAME)
    if claimed is None:
        return JSONResponse(await idempotency.kept_answer(runtime.database, key, NAME), headers=NO_STORE)
    kept: dict[str, Any] | None = None
    try:
        answer = await _drain(runtime, budget)
        if answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
            kept = json.loads(bytes(answer.body))
    finally:
        await asyncio.shield(idempotency.finish(runtime.database, key, claimed, kept))
    return answer


async def _drain(
    runtime: Runtime, budget: float, *, patience: float = 0.0, is_wanted: Callable[[], bool] = lambda: True
) -> JSONResponse:
    clock = runtime.clock
    until = clock.monotonic() + budget
    with without_waking():
        await _evaluate_alerts(runtime, budget / 4)  # before the queue, which the messages are in
        report = await _work(runtime, until)
        while report.left == 0 and (pause := await _until_next(runtime)) is not None:
            # A moment more, since the task is to be due by the database's clock.
            pause += 0.05
            if pause > min(patience, until - clock.monotonic()):
                break
            await clock.sleep(pause)
            patience -= pause
            if not is_wanted():
                break
            report = _sum(report, await _work(runtime, until))
    await beat(runtime)
    details = report._asdict()
    message = f"{report.done:,} task(s) done, {report.failed:,} failed, {report.left:,} left."
    if report.left == 0 or not report.time_up:  # what is left is another's, or waits for another's lock
        return _answer(200, "success", message, details)
    waker = waker_of(runtime.settings, clock=clock)
    if waker and await waker():
        return _answer(200, "partial", f"{message} Another request works on them.", details)
    return _answer(503, "partial", f"{message} The time was up; call again.", details, AGAIN)


async def _evaluate_alerts(runtime: Runtime, limit: float) -> None:
    """Evaluate the rules of alerts, if it is time, within so many seconds. The drain goes on in any case."""
    if not runtime.settings.alert_choice.enabled:
        return
    try:
        async with asyncio.timeout(min(limit, ALERTS_LIMIT)):
            await evaluate_now(runtime)
    except (Unavailable, TimeoutError) as error:
        log.warning("Rules are not evaluated: %s", type(error).__name__, extra={"action": "alerts_late"})


async def _work(runtime: Runtime, until: float) -> DrainReport:
    return await runtime.tasks.drain(timedelta(seconds=max(until - runtime.clock.monotonic(), 0)))


async def _until_next(runtime: Runtime) -> float | None:
    """Seconds until a task is due that is not yet; None when there is none."""
    due = select(func.min(jobs.c.scheduled_at, type_=jobs.c.scheduled_at.type)).where(jobs.c.status == "todo")
    async with runtime.database.read() as session:
        moment: datetime | None = (await (await session.connection()).execute(due)).scalar()
    return None if moment is None else max((moment - runtime.clock.now()).total_seconds(), 0)


def _sum(first: DrainReport, second: DrainReport) -> DrainReport:
    return DrainReport(
        done=first.done + second.done,
        failed=first.failed + second.failed,
        requeued=first.requeued + second.requeued,
        left=second.left,
        time_up=second.time_up,
        seconds=first.seconds + second.seconds,
    )


def _answer(
    status_code: int, status: str, message: str, details: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    content = {"status": status, "message": message, "details": details, "task_id": None}
    return JSONResponse(content, status_code, NO_STORE | (headers or {}))
