"""Remove unused data: old jobs, sessions, mails, errors, figures, entries of the audit log, and orphaned uploads."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
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
BATCH = 500  # jobs that one transaction removes: others wait for it on SQLite

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
    while True:
        async with context.transaction() as session:
            batch = await remove_old_jobs(session, keep_days)
            removed += batch
            context.place["jobs"] = removed  # what is gone is gone: only the count is to be kept
        if not batch:
            break
        await context.progress(removed, None, f"{removed:,} old tasks removed")
        if context.should_stop():
            raise Unfinished
    await remove_old_accounts_data(context)
    await WakeClaims(runtime.database, runtime.clock).forget_expired()
    await idempotency.forget_expired(runtime.database)
    await roll_up_figures(context)
    mails = await outgoing.clean_up(runtime.database, runtime.clock)
    errors = await groups.clean_up(runtime.database, runtime.clock, runtime.settings.errors_keep_days)
    await incidents.clean_up(runtime.database, runtime.clock.now(), runtime.settings.monitor_keep_days)
    files = await run_until_stopped(context, _remove_files(runtime), _nothing_to_tell)
    message = (
        f"{removed:,} old tasks, {files:,} discarded files, {mails:,} old mails and {errors:,} old errors were removed."
    )
    return {"message": message, "jobs": removed, "files": files, "mails": mails, "errors": errors}


async def remove_old_accounts_data(context: TaskContext) -> None:
    """Remove expired sessions and links, and entries of the audit log older than AUDIT_KEEP_DAYS. Raises Unfinished."""
    runtime = context.runtime
    keep_days = runtime.settings.audit_keep_days
    while True:
        async with runtime.database.transaction() as session:
            removed = await user_sessions.remove_expired(session, clock=runtime.clock)
            removed += await links.remove_expired(session, clock=runtime.clock)
            if keep_days:
                removed += await audit.remove_old(session, keep_days, clock=runtime.clock)
                removed += await audit.remove_deleted_accounts(session)
        if not removed:
            return
        if context.should_stop():
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


async def remove_old_jobs(session: AsyncSession, keep_days: float) -> int:
    """Remove some of the jobs that ended more than so many days ago: how many; 0 when there are none left."""
    recent = select(events.c.id).where(events.c.job_id == jobs.c.id, events.c.at >= from_now(-keep_days * _DAY))
    over = jobs.c.status.in_(_OVER) & ~recent.exists() & ~idempotency.has_key(jobs.c.id)
    old = select(jobs.c.id).where(over).order_by(jobs.c.id).limit(BATCH)
    connection = await session.connection()
    # A user may be retrying one by hand at this moment.
    ids = (await connection.execute(old.with_for_update(of=jobs, skip_locked=True))).scalars().all()
    if ids:
        await connection.execute(delete(runs).where(runs.c.job_id.in_(ids)))
        await connection.execute(delete(jobs).where(jobs.c.id.in_(ids)))
    return len(ids)


async def _remove_files(runtime: Host) -> int:
    return await remove_leftovers(runtime.database.engine, runtime.storage, clock=runtime.clock)


async def _nothing_to_tell() -> None:
    """The number of files is unknown before they have been listed."""
