"""Changing a job from the outside: what procrastinate's functions change, in the caller's transaction."""

from __future__ import annotations

from sqlalchemy import case, delete, exists, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.tasks.clock import from_now
from fastopp.tasks.errors import TaskConflict
from fastopp.tasks.models import jobs, workers
from fastopp.tasks.queue.reading import get
from fastopp.tasks.queue.status import TaskStatus, is_stalled

_waiting = jobs.alias("waiting")
# With their type: PostgreSQL does not accept a text for an enum.
_cancelled, _aborted = (literal(status, jobs.c.status.type) for status in ("cancelled", "aborted"))


async def cancel(
    session: AsyncSession,
    id: int,  # noqa: A002 - what it is
    *,
    abort: bool,
    stalled_after: float,
) -> TaskStatus:
    """Cancel a waiting job, or a stalled one; ask a running one to stop. Raises TaskMissing, TaskConflict."""
    status = await get(session, id, stalled_after=stalled_after)
    connection = await session.connection()
    await _forget_worker(connection, status, stalled_after)
    is_dead = is_stalled(stalled_after)
    states = ("todo", "doing") if abort else ("todo",)
    change = (
        update(jobs)
        .where(jobs.c.id == id, jobs.c.status.in_(states))
        .values(
            status=case((jobs.c.status == "todo", _cancelled), (is_dead, _aborted), else_=jobs.c.status),
            abort_requested=case((jobs.c.status == "todo", False), (is_dead, False), else_=True),
        )
    )
    if (await connection.execute(change)).rowcount == 0:
        raise TaskConflict(f"The task {_so_it_is(status)}, so it cannot be cancelled.", task_id=id)
    return await get(session, id, stalled_after=stalled_after)


async def retry(session: AsyncSession, id: int, *, stalled_after: float) -> TaskStatus:  # noqa: A002 - as above
    """Put a failed, cancelled or stalled job back, or let a scheduled one start now. Raises TaskMissing,
    TaskConflict."""
    status = await get(session, id, stalled_after=stalled_after)
    connection = await session.connection()
    await _forget_worker(connection, status, stalled_after)
    change = (
        update(jobs)
        .where(
            jobs.c.id == id,
            jobs.c.status.in_(("failed", "cancelled", "aborted"))
            | is_stalled(stalled_after)
            | (jobs.c.status == "todo"),
        )
        .values(
            status="todo",
            scheduled_at=None,
            worker_id=None,
            abort_requested=False,
            # All its tries again.
            attempts=case((jobs.c.status == "todo", jobs.c.attempts), else_=0),
            queueing_lock=case((is_double(), None), else_=jobs.c.queueing_lock),
        )
    )
    if (await connection.execute(change)).rowcount == 0:
        raise TaskConflict(f"The task {_so_it_is(status)}, so it cannot be tried again.", task_id=id)
    return await get(session, id, stalled_after=stalled_after)


async def _forget_worker(connection: AsyncConnection, status: TaskStatus, stalled_after: float) -> None:
    """Of a stalled job: a worker that is known could take it again when it wakes up, beside what it still does."""
    if status.stalled:
        theirs = select(jobs.c.worker_id).where(jobs.c.id == status.id)
        stalled = workers.c.last_heartbeat < from_now(-stalled_after)
        await connection.execute(delete(workers).where(workers.c.id.in_(theirs), stalled))


def _so_it_is(status: TaskStatus) -> str:
    return f"has {status.status}" if status.status in ("succeeded", "failed") else f"is {status.status}"


def is_double() -> ColumnElement[bool]:
    """Whether another waits with the same queueing lock: then this one gives up its own, rather than be refused."""
    return exists().where(
        _waiting.c.queueing_lock == jobs.c.queueing_lock, _waiting.c.status == "todo", _waiting.c.id != jobs.c.id
    )
