"""The job that an earlier delivery of the same request has queued."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.tasks import idempotency
from fastopp.tasks.arguments import pack
from fastopp.tasks.errors import AlreadyQueued, TaskMissing
from fastopp.tasks.idempotency import KeyReused, RequestKey
from fastopp.tasks.queue.defer import defer
from fastopp.tasks.queue.reading import get
from fastopp.tasks.queue.status import TaskStatus
from fastopp.tasks.task import Task
from fastopp.tasks.traced import traceparent_of

if TYPE_CHECKING:
    from fastopp.tasks.host import Host


async def defer_once(
    runtime: Host,
    session: AsyncSession,
    key: RequestKey,
    task: Task,
    args: Mapping[str, Any],
    *,
    at: datetime | None = None,
) -> TaskStatus:
    """Queue a task, or return the job that the same request has queued before.

    Raise TaskArguments, TaskTooBig, AlreadyQueued, KeyReused.
    """
    packed = pack(task, args)
    await one_at_a_time(session, task)
    known = await keyed_job(runtime, session, key, task, packed)
    if known is not None:
        return known
    try:
        connection, traceparent = await session.connection(), traceparent_of(runtime)
        status = await defer(connection, task, packed, runtime.clock, at=at, traceparent=traceparent)
    except AlreadyQueued as error:
        if error.task_id is None:
            raise
        status = await get(session, error.task_id, stalled_after=runtime.task_process.limits.stalled_after)
        if status.args != packed:
            raise
    await idempotency.link(session, key, task.name, status.id)
    return status


async def one_at_a_time(session: AsyncSession, task: Task) -> None:
    """Let the transactions that look for a job of this task and queue one follow each other.

    On SQLite every transaction that writes does. The lock ends with the transaction, so a pooler may stand in between.
    """
    connection = await session.connection()
    if connection.dialect.name == "postgresql":
        name = func.hashtextextended(f"fastopp task {task.name}", 0)
        await connection.execute(select(func.pg_advisory_xact_lock(name)))


async def keyed_job(
    runtime: Host, session: AsyncSession, key: RequestKey | None, task: Task, packed: dict[str, Any]
) -> TaskStatus | None:
    """Return the job that an earlier request with this key has queued. Raise KeyReused."""
    job_id = None if key is None else await idempotency.job_of(session, key, task.name)
    if job_id is None:
        return None
    try:
        known = await get(session, job_id, stalled_after=runtime.task_process.limits.stalled_after)
    except TaskMissing:
        return None
    if known.args != packed:
        raise KeyReused
    return known
