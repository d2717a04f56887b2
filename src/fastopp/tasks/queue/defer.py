"""Queue a task: one INSERT in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.clock import Clock
from fastopp.tasks.arguments import fill, pack
from fastopp.tasks.errors import AlreadyQueued
from fastopp.tasks.models import jobs, traces
from fastopp.tasks.queue.status import Status, TaskStatus
from fastopp.tasks.task import Task

_TRIES = 3

# Made once: making a statement takes as long as running it. With a queueing lock, an error would end the caller's
# transaction on PostgreSQL, so nothing is done instead.
_INSERT = {
    "postgresql": postgresql.insert(jobs).returning(jobs.c.id),
    "sqlite": sqlite.insert(jobs).returning(jobs.c.id),
}
_INSERT_SINGLE = {
    "postgresql": postgresql.insert(jobs).on_conflict_do_nothing().returning(jobs.c.id),
    "sqlite": sqlite.insert(jobs).on_conflict_do_nothing().returning(jobs.c.id),
}


async def defer(
    connection: AsyncConnection,
    task: Task,
    args: Mapping[str, Any],
    clock: Clock,
    *,
    at: datetime | None = None,
    traceparent: str = "",
) -> TaskStatus:
    """Write the row that procrastinate would write. It counts once the connection's transaction is committed.

    Parameters
    ----------
    traceparent: the span that queues it, kept beside the job.

    Raises TaskArguments, TaskTooBig, AlreadyQueued.
    """
    packed = pack(task, args)
    queueing_lock = fill(task.queueing_lock, packed)
    row = {
        "queue_name": task.queue,
        "task_name": task.name,
        "priority": task.priority,
        "lock": fill(task.lock, packed),
        "queueing_lock": queueing_lock,
        "args": packed,
        "status": "todo",
        "scheduled_at": at,
        "attempts": 0,
        "abort_requested": False,
    }
    statement = (_INSERT if queueing_lock is None else _INSERT_SINGLE)[connection.dialect.name]
    for _ in range(_TRIES):
        id = (await connection.execute(statement, row)).scalar()  # noqa: A001 - what it is
        if id is not None:
            if traceparent:
                await keep_traceparent(connection, [id], traceparent)
            now = clock.now()
            state: Status = "scheduled" if at is not None and at > now else "waiting"
            return TaskStatus(
                id=id, name=task.name, args=packed, status=state, queue=task.queue, attempts=0, queued_at=now,
                scheduled_at=at,
            )  # fmt: skip
        same = select(jobs.c.id).where(jobs.c.queueing_lock == queueing_lock, jobs.c.status == "todo")
        if (waiting := (await connection.execute(same)).scalar()) is not None:
            raise AlreadyQueued(f"The task {task.name} is queued already.", task_id=waiting)
    raise AlreadyQueued(f"The task {task.name} is queued already.")  # it comes and goes: others queue it all the time


async def keep_traceparent(connection: AsyncConnection, ids: Sequence[int], traceparent: str) -> None:
    """Keep the span that queued jobs."""
    if ids:
        await connection.execute(insert(traces), [{"job_id": each, "traceparent": traceparent} for each in ids])
