"""Working the queue within a budget of time: in a request, or from the command line."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from fastopp.database.errors import unavailable
from fastopp.tasks.models import jobs
from fastopp.tasks.queue.report import DrainReport
from fastopp.tasks.queue.status import in_state
from fastopp.tasks.wake import without_waking
from fastopp.tasks.worker.loop import WorkLoop
from fastopp.tasks.worker.store import open_store
from fastopp.tasks.worker.takeover import take_over_stalled
from fastopp.tasks.worker.time_table import TimeTable

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

GRACE = 10.0
"""Seconds before the end of the budget in which nothing new is begun, and what runs is to save its place."""

GRACE_SHARE = 0.2
"""Of a short budget, the share that takes the place of `GRACE`."""


async def drain(
    runtime: Host,
    budget: timedelta | None,
    *,
    limit: int | None = None,
    only: int | None = None,
    schedules: bool = True,
) -> DrainReport:
    """Work the queue until it is empty or the budget is spent.

    A function that does not end when it is asked to is cancelled at the end of the budget. So the drain ends within
    the budget and some two seconds.

    Parameters
    ----------
    budget: None where it may take as long as it takes.
    limit: jobs to take at most.
    only: the id of the one job to work, whether or not its time has come.
    schedules: whether to queue periodic tasks that are due.

    Raises DatabaseUnavailable, TablesMissing.
    """
    try:
        return await _drain(runtime, budget, limit=limit, only=only, schedules=schedules)
    except DBAPIError as error:
        raise unavailable(runtime.database.url.masked, error.orig or error) from error


async def _drain(
    runtime: Host, budget: timedelta | None, *, limit: int | None, only: int | None, schedules: bool
) -> DrainReport:
    clock = runtime.clock
    started = clock.monotonic()
    seconds = float("inf") if budget is None else max(budget.total_seconds(), 0.0)
    grace = min(GRACE, seconds * GRACE_SHARE)
    deadline = started + seconds - grace
    async with open_store(runtime) as store:
        loop = WorkLoop(
            runtime,
            store,
            concurrency=1 if only is not None else runtime.settings.task_concurrency,
            only=only,
            limit=limit,
            until_idle=True,
            deadline=None if budget is None else deadline,
        )
        time_table = TimeTable(runtime, store.database)
        if only is None:
            await take_over_stalled(store.database, runtime.task_process, runtime.errors)
            if schedules:
                await time_table.queue_due()

        async def stop_at_deadline() -> None:
            if budget is not None:
                await clock.sleep(max(0.0, deadline - clock.monotonic()))
                loop.stop()

        # What jobs and schedules queue, this very drain takes; a single job's belong to no drain yet.
        queued = loop.wake if only is None else runtime.task_process.wake
        beside = [stop_at_deadline(), *([time_table.keep(queued)] if schedules else [])]
        with without_waking() if only is None else nullcontext():
            await loop.run(*beside, stop_timeout=grace, poll=runtime.task_process.limits.poll)
    async with runtime.database.read() as session:
        connection = await session.connection()
        waiting = select(func.count()).select_from(jobs).where(in_state("waiting"))
        left = (await connection.execute(waiting)).scalar_one()
    return DrainReport(
        done=loop.done,
        failed=loop.failed,
        requeued=loop.requeued,
        left=left,
        time_up=clock.monotonic() >= deadline,
        seconds=round(clock.monotonic() - started, 3),
    )
