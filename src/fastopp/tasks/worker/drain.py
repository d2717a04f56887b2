"""Working the queue within a budget of time: in a request, or from the command line."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from procrastinate.exceptions import ConnectorException
from sqlalchemy import func, select

from fastopp.clock import Clock
from fastopp.database.errors import TablesMissing, is_table_missing, unavailable
from fastopp.errors import FastOppError
from fastopp.tasks.models import jobs
from fastopp.tasks.queue.report import DrainReport
from fastopp.tasks.queue.status import in_state
from fastopp.tasks.wake import without_waking
from fastopp.tasks.worker.fenced import FencedJobManager
from fastopp.tasks.worker.queue import open_queue
from fastopp.tasks.worker.runner import Runner
from fastopp.tasks.worker.takeover import take_over_stalled

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

# Undefined function, undefined object: of PostgreSQL's queue, functions and types come with the tables.
_QUEUE_MISSING = ("42883", "42704")

GRACE = 10.0
"""Seconds before the end of the budget in which nothing new is begun, and what runs is to save its place."""

GRACE_SHARE = 0.2
"""Of a short budget, the share that takes the place of `GRACE`."""


async def drain(
    runtime: Host, budget: timedelta | None, *, limit: int | None = None, only: int | None = None
) -> DrainReport:
    """Work the queue until it is empty or the budget is spent.

    A function that does not end when it is asked to is cancelled at the end of the budget. So the drain ends within
    the budget and some two seconds.

    Parameters
    ----------
    budget: None where it may take as long as it takes.
    limit: jobs to take at most.
    only: the id of the one job to work, whether or not its time has come.

    Raises DatabaseUnavailable, TablesMissing.
    """
    try:
        return await _drain(runtime, budget, limit=limit, only=only)
    except ConnectorException as error:
        cause = error.__cause__ or error
        if isinstance(cause, FastOppError):
            raise cause from error
        cause = getattr(cause, "orig", None) or cause  # the driver's own, which SQLAlchemy wraps
        if is_table_missing(cause) or getattr(cause, "sqlstate", None) in _QUEUE_MISSING:
            raise TablesMissing from error
        raise unavailable(runtime.database.url.masked, cause) from error


async def _drain(runtime: Host, budget: timedelta | None, *, limit: int | None, only: int | None) -> DrainReport:
    clock = runtime.clock
    started = clock.monotonic()
    seconds = float("inf") if budget is None else max(budget.total_seconds(), 0.0)
    grace = min(GRACE, seconds * GRACE_SHARE)
    deadline = started + seconds - grace
    concurrency = 1 if only is not None else runtime.settings.task_concurrency
    async with open_queue(runtime) as queue:
        manager = FencedJobManager(
            queue.store,
            concurrency=concurrency,
            only=only,
            limit=limit,
            stop_when_idle=True,
            queued=runtime.task_process.wake if only is not None else None,
            clock=clock,
            limits=runtime.task_process.limits,
        )
        runner = Runner(runtime, manager, concurrency=concurrency, deadline=None if budget is None else deadline)
        if only is None:
            await take_over_stalled(queue.store, runtime.task_process)
            await queue.defer_periodic(queue.app(manager, runner))
        closing = asyncio.create_task(_stop_at(deadline, manager, clock), name="end of the budget")
        try:
            # What jobs queue, this very drain takes; a single job's belong to no drain yet.
            with without_waking() if only is None else nullcontext():
                await queue.work(manager, runner, concurrency=concurrency, stop_timeout=grace)
        finally:
            closing.cancel()
    async with runtime.database.read() as session:
        connection = await session.connection()
        waiting = select(func.count()).select_from(jobs).where(in_state("waiting"))
        left = (await connection.execute(waiting)).scalar_one()
    return DrainReport(
        done=runner.done,
        failed=runner.failed,
        requeued=runner.requeued,
        left=left,
        time_up=clock.monotonic() >= deadline,
        seconds=round(clock.monotonic() - started, 3),
    )


async def _stop_at(deadline: float, manager: FencedJobManager, clock: Clock) -> None:
    if deadline < float("inf"):
        await clock.sleep(max(0.0, deadline - clock.monotonic()))
        manager.stop()
