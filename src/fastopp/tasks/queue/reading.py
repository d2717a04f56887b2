"""Looking at jobs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.tasks.clock import from_now
from fastopp.tasks.errors import TaskMissing
from fastopp.tasks.models import events, jobs, workers
from fastopp.tasks.queue.groups import count_groups
from fastopp.tasks.queue.report import TaskCounts
from fastopp.tasks.queue.status import Status, TaskStatus, in_state, is_stalled, select_statuses

_BIGGEST_ID = 2**63 - 1


async def get(session: AsyncSession, id: int, *, stalled_after: float) -> TaskStatus:  # noqa: A002 - what it is
    """One job. Raises TaskMissing."""
    if not 0 < id <= _BIGGEST_ID:
        raise TaskMissing
    connection = await session.connection()
    row = (await connection.execute(select_statuses(stalled_after).where(jobs.c.id == id))).mappings().first()
    if row is None:
        raise TaskMissing
    return TaskStatus.from_row(row)


async def find(
    session: AsyncSession,
    *,
    status: Status | None,
    name: str | None,
    queue: str | None,
    limit: int,
    before: int | None,
    stalled_after: float,
) -> list[TaskStatus]:
    """Jobs, the newest first."""
    query = select_statuses(stalled_after).order_by(jobs.c.id.desc()).limit(limit)
    if status is not None:
        query = query.where(in_state(status))
    if name is not None:
        query = query.where(jobs.c.task_name == name)
    if queue is not None:
        query = query.where(jobs.c.queue_name == queue)
    if before is not None:
        query = query.where(jobs.c.id < min(before, _BIGGEST_ID))
    connection = await session.connection()
    return [TaskStatus.from_row(row) for row in (await connection.execute(query)).mappings()]


async def count(session: AsyncSession, clock: Clock, *, stalled_after: float) -> TaskCounts:
    """Return the number of jobs of each kind: exact ones while there are few, and estimates where there are many."""
    connection = await session.connection()
    groups = await count_groups(connection)
    statuses: dict[Status, int] = {}
    for *_, status, number in groups:
        statuses[status] = statuses.get(status, 0) + number
    since = select(func.min(events.c.at, type_=events.c.at.type)).where(
        events.c.type.in_(("deferred", "deferred_for_retry", "retried", "scheduled")),
        # The one that has waited longest is, near enough, the one that was queued first.
        events.c.job_id == select(func.min(jobs.c.id)).where(in_state("waiting")).scalar_subquery(),
    )
    oldest: datetime | None = (await connection.execute(since)).scalar()
    stalled = select(func.count()).select_from(jobs).where(is_stalled(stalled_after))
    alive = select(func.count()).select_from(workers).where(workers.c.last_heartbeat >= from_now(-stalled_after))
    return TaskCounts(
        statuses=statuses,
        groups=groups,
        stalled=(await connection.execute(stalled)).scalar_one(),
        oldest_waiting=None if oldest is None else max(0.0, (clock.now() - oldest).total_seconds()),
        workers=(await connection.execute(alive)).scalar_one(),
    )
