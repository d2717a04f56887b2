"""Work one task to its end for a caller: what a trigger does, and what it does when it is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.tasks import idempotency
from fastopp.tasks.arguments import fill, pack
from fastopp.tasks.clock import from_now
from fastopp.tasks.errors import AlreadyQueued, AlreadyRunning
from fastopp.tasks.idempotency import RequestKey
from fastopp.tasks.models import jobs
from fastopp.tasks.queue.defer import defer
from fastopp.tasks.queue.keyed import keyed_job, one_at_a_time
from fastopp.tasks.queue.reading import get
from fastopp.tasks.queue.status import TaskStatus, is_stalled
from fastopp.tasks.queue.steering import retry
from fastopp.tasks.task import Task
from fastopp.tasks.traced import traceparent_of
from fastopp.tasks.worker.drain import drain

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

HOLD = 30.0
"""Seconds for which no worker takes a job that a caller is about to work itself, in database time. Should the caller's
process die in between, a worker or a drain takes it then."""

_LOOKED_AT = 50  # jobs of one task, the newest: those with other arguments are passed over


async def run_single(
    runtime: Host,
    task: Task,
    args: Mapping[str, Any],
    budget: timedelta | None,
    key: RequestKey | None = None,
) -> TaskStatus:
    """Work one job of this task with these arguments, an unfinished one rather than a new one.

    A repeated `key` continues the job of the first time, and returns its status once it has succeeded.

    Raises TaskArguments, TaskTooBig, AlreadyQueued (with other arguments and the same queueing lock), AlreadyRunning,
    KeyReused.
    """
    packed = pack(task, args)
    async with runtime.database.transaction() as session:
        await one_at_a_time(session, task)
        known = await keyed_job(runtime, session, key, task, packed)
        if known is not None and known.status == "succeeded":
            return known
        if known is not None:
            job_id, is_new = await _continue(runtime, session, known), False
        else:
            job_id, is_new = await _find_or_defer(runtime, session, task, packed)
        if key is not None:
            await idempotency.link(session, key, task.name, job_id)
        await _hold(session, job_id)
    await drain(runtime, budget, only=job_id)
    async with runtime.database.read() as session:
        status = await get(session, job_id, stalled_after=runtime.task_process.limits.stalled_after)
        if status.status == "running":
            raise AlreadyRunning(f"The task {task.name} is being worked on already.", task_id=job_id)
        if status.status in ("waiting", "scheduled") and status.started_at is None:
            holder = await _holder(session, fill(task.lock, packed))
            if holder is not None and is_new:
                await _forget(runtime, job_id)
            if holder is not None:
                raise AlreadyRunning(f"The task {task.name}, or one with its lock, is running.", task_id=holder)
    return status


async def _continue(runtime: Host, session: AsyncSession, known: TaskStatus) -> int:
    """Put a job back that did not succeed. Raise AlreadyRunning."""
    if known.status == "running" and not known.stalled:
        raise AlreadyRunning(f"The task {known.name} is being worked on already.", task_id=known.id)
    if known.status not in ("waiting", "scheduled"):
        await retry(session, known.id, stalled_after=runtime.task_process.limits.stalled_after)
    return known.id


async def _find_or_defer(runtime: Host, session: AsyncSession, task: Task, packed: dict[str, Any]) -> tuple[int, bool]:
    """The id of the job to work, and whether it is new. Raises AlreadyRunning."""
    connection, stalled_after = await session.connection(), runtime.task_process.limits.stalled_after
    query = (
        select(jobs.c.id, jobs.c.args, jobs.c.status, is_stalled(stalled_after).label("stalled"))
        .where(jobs.c.task_name == task.name)
        .order_by(jobs.c.id.desc())
        .limit(_LOOKED_AT)
    )
    same = [row for row in await connection.execute(query) if row.args == packed]
    for row in same:
        if row.status == "doing" and not row.stalled:
            raise AlreadyRunning(f"The task {task.name} is being worked on already.", task_id=row.id)
    for position, row in enumerate(same):
        # A failed one is continued only while nothing came after it: what succeeded since has made it good.
        if row.status == "todo" or row.stalled or (row.status == "failed" and position == 0):
            if row.status != "todo":
                await retry(session, row.id, stalled_after=stalled_after)
            return row.id, False
    try:
        queued = await defer(connection, task, packed, runtime.clock, traceparent=traceparent_of(runtime))
    except AlreadyQueued as error:
        if error.task_id is None:
            raise
        if (await get(session, error.task_id, stalled_after=stalled_after)).args == packed:
            return error.task_id, False
        raise
    return queued.id, True


async def _hold(session: AsyncSession, job_id: int) -> None:
    """Keep the workers away, which are notified of a job as soon as this transaction is committed."""
    connection = await session.connection()
    held = update(jobs).where(jobs.c.id == job_id, jobs.c.status == "todo").values(scheduled_at=from_now(HOLD))
    await connection.execute(held)


async def _holder(session: AsyncSession, lock: str | None) -> int | None:
    """The job that holds a lock."""
    if lock is None:
        return None
    connection = await session.connection()
    query = select(jobs.c.id).where(jobs.c.lock == lock, jobs.c.status == "doing")
    holder: int | None = (await connection.execute(query)).scalar()
    return holder


async def _forget(runtime: Host, job_id: int) -> None:
    """Discard what was queued for this call alone, so that it does not run later."""
    async with runtime.database.transaction() as session:
        connection = await session.connection()
        await connection.execute(delete(jobs).where(jobs.c.id == job_id, jobs.c.status == "todo"))
        await idempotency.unlink(session, job_id)
