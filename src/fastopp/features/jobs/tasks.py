"""Remove unused data: old jobs, sessions, mails, errors, audit entries, cached values, orphaned uploads."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.accounts import audit, links, user_sessions
from fastopp.features.jobs.running import run_until_stopped
from fastopp.storage.sweep import remove_leftovers
from fastopp.tasks import idempotency
from fastopp.tasks.clock import from_now
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.host import Host
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
    from fastopp.features.alerts import incidents  # noqa: PLC0415 - the tables of alerts, where tasks run
    from fastopp.features.errors import groups  # noqa: PLC0415 - the tables of errors, where tasks run
    from fastopp.features.mail import outgoing  # noqa: PLC0415 - as that of mails

    runtime = context.runtime
    removed: int = context.place.get("jobs", 0)
    seen: int | None = 0
    while seen is not None:
        async with context.transaction() as session:
            batch, seen = await remove_old_jobs(session, keep_days, after=seen)
            removed += batch
            context.place["jobs"] = removed  # what is gone is gone: only the count is to be kept
        if batch:
            await context.progress(removed, None, f"{removed:,} old tasks removed")
        if context.should_stop():
            raise Unfinished
    await remove_old_accounts_data(context)
    await WakeClaims(runtime.database, runtime.clock).forget_expired()
    await idempotency.forget_expired(runtime.database)
    await roll_up_figures(context)
    mails = await outgoing.clean_up(runtime.database, runtime.clock)
    errors = await groups.clean_up(runtime.database, runtime.clock, runtime.settings.errors_keep_days)
    cached = await runtime.shared_cache.clean_up()
    await incidents.clean_up(runtime.database, runtime.clock.now(), runtime.settings.monitor_keep_days)
    files = await run_until_stopped(context, _remove_files(runtime), _nothing_to_tell)
    message = (
        f"{removed:,} old tasks, {files:,} discarded files, {mails:,} old mails and {errors:,} old errors were removed."
    )
    counts = {"jobs": removed, "files": files, "mails": mails, "errors": errors, "cached": cached}
    return {"message": message, **counts}


async def remove_old_accounts_data(context: TaskContext) -> None:
    """Remove expired sessions and links, and entries of the audit log older than AUDIT_KEEP_DAYS. Raises Unfinished."""
    runtime = context.runtime
    keep_days = runtime.settings.audit_keep_days
    kinds: list[Callable[[AsyncSession], Awaitable[int]]] = [
        partial(user_sessions.remove_expired, clock=runtime.clock),
        partial(links.remove_expired, clock=runtime.clock),
    ]
    if keep_days:
        kinds += [partial(audit.remove_old, keep_days=keep_days, clock=runtime.clock), audit.remove_deleted_accounts]
    for remove in kinds:  # one after the other, so that none is asked again for each batch of another
        removed = 1
        while removed:
            async with runtime.database.transaction() as session:
                removed = await remove(session)
            if removed and context.should_stop():
                raise Unfinished


async def roll_up_figures(context: TaskContext) -> None:
    """Roll up the figures of minutes and hours, and remove those older than MONITOR_KEEP_DAYS. Raises Unfinished."""
    from fastopp.features.monitor import rolling  # noqa: PLC0415 - the tables of figures, where tasks run

    runtime = context.runtime
    now = runtime.clock.time()
    while await rolling.roll_up(runtime.database, now):
        if context.should_stop():
            raise Unfinished
    await rolling.forget(runtime.database, now, runtime.settings.monitor_keep_days)


async def remove_old_jobs(session: AsyncSession, keep_days: float, *, after: int = 0) -> tuple[int, int | None]:
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


async def _remove_files(runtime: Host) -> int:
    return await remove_leftovers(runtime.database.engine, runtime.storage, clock=runtime.clock)


async def _nothing_to_tell() -> None:
    """The number of files is unknown before they have been listed."""
