"""The nightly clean-up: old jobs, and what each feature's `clean_up.py` removes.

A feature whose `clean_up.py` has a coroutine function `clean_up(context)` takes part; with `LAST = True`, after the
others. It returns how many of what were removed, and raises Unfinished to be called again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.features import features_with
from fastopp.tasks import idempotency
from fastopp.tasks.clock import from_now
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.models import events, jobs, runs
from fastopp.tasks.task import periodic, task
from fastopp.tasks.wake_tokens import WakeClaims

KEEP_DAYS = 30  # that people may want to look at what became of a task
LOOKED_AT = 500  # jobs that one transaction looks at and may remove: others wait for it on SQLite

_DAY = 24 * 60 * 60.0  # seconds
_OVER = ("succeeded", "failed", "cancelled", "aborted")


@periodic(cron="30 3 * * *")
@task(name="clean-up", lock="clean-up", queueing_lock="clean-up")
async def clean_up(context: TaskContext, *, keep_days: int = KEEP_DAYS) -> dict[str, Any]:
    """Remove tasks that ended more than `keep_days` days ago, and what interrupted uploads and deleted rows left."""
    removed = {"jobs": await remove_old_jobs(context, keep_days)}
    await WakeClaims(context.runtime.database, context.runtime.clock).forget_expired()
    await idempotency.forget_expired(context.runtime.database)
    parts: list[Any] = [feature.part("clean_up", "clean_up") for feature in features_with("clean_up")]
    for part in sorted(parts, key=lambda each: getattr(each, "LAST", False)):
        removed |= await part.clean_up(context)
    listed = ", ".join(f"{count:,} {what.replace('_', ' ')}" for what, count in removed.items() if count)
    return {"message": f"Removed: {listed or 'nothing'}.", **removed}


async def remove_old_jobs(context: TaskContext, keep_days: float) -> int:
    """Remove jobs that ended more than so many days ago, and return how many. Raises Unfinished."""
    removed: int = context.place.get("jobs", 0)
    seen: int | None = context.place.get("seen", 0)
    while seen is not None:
        async with context.transaction() as session:
            batch, seen = await _remove_next(session, keep_days, after=seen)
            removed += batch
            context.place |= {"jobs": removed, "seen": seen}
        if batch:
            await context.progress(removed, None, f"{removed:,} old tasks removed")
        if context.should_stop():
            raise Unfinished
    return removed


async def _remove_next(session: AsyncSession, keep_days: float, *, after: int) -> tuple[int, int | None]:
    """Look at the next LOOKED_AT jobs after one, and remove those that ended more than so many days ago.

    Returns how many were removed, and the last job that was looked at; None when all have been.
    """
    connection = await session.connection()
    window = select(jobs.c.id).where(jobs.c.id > after).order_by(jobs.c.id).limit(LOOKED_AT).subquery()
    last: int | None = (await connection.execute(select(func.max(window.c.id)))).scalar()
    if last is None:
        return 0, None
    recent = select(events.c.id).where(events.c.job_id == jobs.c.id, events.c.at >= from_now(-keep_days * _DAY))
    over = jobs.c.status.in_(_OVER) & ~recent.exists() & ~idempotency.has_key(jobs.c.id)
    old = select(jobs.c.id).where(jobs.c.id.between(after + 1, last), over).order_by(jobs.c.id)
    # A user may be retrying one by hand at this moment.
    ids = (await connection.execute(old.with_for_update(of=jobs, skip_locked=True))).scalars().all()
    if ids:
        await connection.execute(delete(runs).where(runs.c.job_id.in_(ids)))
        await connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))
    return len(ids), last
