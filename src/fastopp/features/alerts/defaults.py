"""The rules that every site has."""

from __future__ import annotations

import asyncio
import shutil
from typing import Final

from sqlalchemy import func, select, text

from fastopp.core.runtime import Runtime
from fastopp.database.migrations.errors import MigrationError
from fastopp.database.migrations.revisions import head_revision
from fastopp.features.alerts.names import SEND
from fastopp.features.alerts.rules import AlertRule, Measured
from fastopp.features.alerts.site import Site, percentile
from fastopp.recording import REQUEST, TASK
from fastopp.tasks.models import events, jobs
from fastopp.tasks.queue.status import in_state

P95: Final = 0.95
NOTICEABLE: Final = 0.25  # seconds: a faster answer is not slow, however fast it was last week
HEAD_KEPT: Final = 3600.0  # seconds
RARELY: Final = 600.0  # seconds between measurements that list a bucket
MB: Final = 1e6


async def health(site: Site) -> Measured:
    """Count the checks of /health that fail."""
    from fastopp.features.health.probes import run_checks  # noqa: PLC0415 - with the probes of all apps

    runtime = site.runtime
    report = await run_checks(runtime, await _head(runtime))
    failing = [f"{name}: {check.problem}" for name, check in report.checks.items() if not check.healthy]
    return Measured(len(failing), len(report.checks), "\n".join(failing))


async def _head(runtime: Runtime) -> str | None:
    """Return the revision that the database should be at; None when it cannot be read."""
    head = runtime.cache.get("alerts", "head")
    if isinstance(head, str):
        return head
    try:
        found = await asyncio.to_thread(head_revision)
    except (MigrationError, OSError):
        return None
    runtime.cache.keep("alerts", "head", value=found, lifetime=HEAD_KEPT)
    return found


async def server_errors(site: Site) -> Measured | None:
    """Return the share of 5xx among recent answers."""
    requests = [each for each in await site.recent() if each.kind == REQUEST]
    count = sum(each.number for each in requests)
    failed = sum(each.number for each in requests if each.outcome.startswith("5"))
    return Measured(failed / count, count, f"{failed:,} of {count:,} answers") if count else None


async def slower(site: Site) -> Measured | None:
    """Return the 95th percentile of the time of answers, relative to that of the same hours a week ago."""
    recent = [each for each in await site.recent() if each.kind == REQUEST]
    count = sum(each.number for each in recent)
    if count < LATENCY_SAMPLE:
        return None
    now = percentile([sum(column) for column in zip(*(each.buckets for each in recent), strict=True)], P95)
    if now < NOTICEABLE:
        return Measured(0, count, f"{now * 1000:,.0f} ms")
    before = [each for each in await site.last_week() if each.kind == REQUEST]
    if sum(each.number for each in before) < LATENCY_SAMPLE:
        return None
    then = percentile([sum(column) for column in zip(*(each.buckets for each in before), strict=True)], P95)
    return Measured(now / then, count, f"{now * 1000:,.0f} ms; {then * 1000:,.0f} ms a week ago")


async def failed_tasks(site: Site) -> Measured | None:
    """Count recent attempts of tasks after which there is no other."""
    tasks = [each for each in await site.recent() if each.kind == TASK]
    count = sum(each.number for each in tasks)
    return Measured(sum(each.number for each in tasks if each.outcome == "failed"), count) if count else None


async def old_tasks(site: Site) -> Measured:
    """Return the seconds for which the first waiting task could have been run."""
    # Near enough the one that waits the longest; messages about incidents do not count.
    first = select(func.min(jobs.c.id)).where(in_state("waiting"), jobs.c.task_name != SEND).scalar_subquery()
    queued = select(func.max(events.c.at, type_=events.c.at.type)).where(
        events.c.job_id == jobs.c.id, events.c.type.in_(("deferred", "deferred_for_retry", "retried"))
    )
    query = select(jobs.c.task_name, jobs.c.scheduled_at, queued.scalar_subquery()).where(jobs.c.id == first)
    async with site.read() as session:
        row = (await (await session.connection()).execute(query)).first()
    if row is None or (since := row[1] or row[2]) is None:
        return Measured(0)
    return Measured(max(0.0, (site.now - since).total_seconds()), 1, f"The first is {row[0]}.")


async def storage(site: Site) -> Measured | None:
    """Return the used share of the bucket's quota, or of the persistent disk."""
    runtime = site.runtime
    if runtime.settings.uses_object_storage:
        from fastopp.storage.select import backup_storage  # noqa: PLC0415 - obstore, where a bucket is

        bucket = backup_storage(runtime.settings, runtime.storage)
        if bucket.quota is None:
            return None
        usage = await bucket.usage()
        held = f"{usage.files:,} files with {usage.size / MB:,.1f} MB of {bucket.quota}"
        return Measured(bucket.quota.share(usage), usage.files, held)
    if runtime.settings.development or not runtime.settings.platform.persistent_disk:
        return None
    disk = await asyncio.to_thread(shutil.disk_usage, runtime.settings.upload_dir)
    return Measured(disk.used / disk.total, detail=f"{disk.used / MB:,.0f} of {disk.total / MB:,.0f} MB of the disk")


_CONNECTIONS: Final = text(
    "SELECT (SELECT sum(numbackends) FROM pg_stat_database), current_setting('max_connections')::int"
)


async def connections(site: Site) -> Measured | None:
    """Return the used share of the connections that PostgreSQL allows."""
    if site.runtime.database.url.backend != "postgresql":
        return None
    async with site.read() as session:
        used, most = (await (await session.connection()).execute(_CONNECTIONS)).one()
    return Measured(float(used) / most, int(used), f"{used} of {most}")


async def backup(site: Site) -> Measured | None:
    """Return the hours since the newest backup of the database; None if there is none yet."""
    runtime = site.runtime
    if not runtime.settings.has_object_storage:
        return None
    from fastopp.features.database_backups.stored import stored_backups  # noqa: PLC0415 - as above
    from fastopp.storage.select import backup_storage  # noqa: PLC0415 - as above

    files = await stored_backups(backup_storage(runtime.settings, runtime.storage))
    if not files:
        return None
    newest = max(file.modified for file in files)
    return Measured((site.now - newest).total_seconds() / 3600, len(files), f"{newest:%Y-%m-%d %H:%M} UTC")


async def memory(site: Site) -> Measured | None:
    """Return the largest share of its memory that an instance uses."""
    found = [(one.memory / one.memory_limit, one) for one in await site.instances() if one.memory and one.memory_limit]
    if not found:
        return None
    share, one = max(found, key=lambda each: each[0])
    used = f"{(one.memory or 0) / MB:,.0f} of {one.memory_limit / MB:,.0f} MB in instance {one.id}"
    return Measured(share, len(found), used)


LATENCY_SAMPLE: Final = 50

DEFAULTS: Final = (
    AlertRule(
        id="health", title="The site is unhealthy", what="Checks of /health that fail", measure=health,
        threshold=1, lasts=20, hint="See /database-status, and the log of the check that fails.",
    ),
    AlertRule(
        id="server-errors", title="Many answers are server errors", what="5xx among the answers of five minutes",
        measure=server_errors, threshold=0.05, unit="share", sample=50, hint="See /oppman/errors.",
    ),
    AlertRule(
        id="latency", title="Answers are slower than a week ago",
        what="95th percentile of the time of answers in five minutes, relative to the same hours a week ago",
        measure=slower, threshold=2, unit="times", sample=LATENCY_SAMPLE, lasts=20,
        hint="The log has slow requests and queries with their lines.",
    ),
    AlertRule(
        id="failed-tasks", title="Tasks fail", what="Tasks that failed for good in five minutes",
        measure=failed_tasks, threshold=1, hint="See /oppman/tasks?status=failed.",
    ),
    AlertRule(
        id="old-tasks", title="Tasks wait too long", what="Seconds for which the first waiting task has been due",
        measure=old_tasks, threshold=1800, unit="seconds",
        hint="Does a scheduler call /async/drain, or does a worker run? See docs/tasks.md.",
    ),
    AlertRule(
        id="storage", title="The storage is nearly full", what="Used share of the Object Storage or the disk",
        measure=storage, threshold=0.8, unit="share", clear=0.97, every=RARELY,
        hint="Delete files, or raise the plan and S3_QUOTA_MB.",
    ),
    AlertRule(
        id="connections", title="The database runs out of connections", what="Used share of PostgreSQL's connections",
        measure=connections, threshold=0.8, unit="share", lasts=20, hint="Lower DB_POOL_SIZE, or use a pooler.",
    ),
    AlertRule(
        id="backup", title="The newest backup is old", what="Hours since the newest backup of the database",
        measure=backup, threshold=48, unit="hours", every=RARELY, hint="Run `oppman.py remote backup`, or schedule it.",
    ),
    AlertRule(
        id="memory", title="An instance is short of memory", what="Largest share of its memory that an instance uses",
        measure=memory, threshold=0.9, unit="share", lasts=20, hint="Raise the memory of instances.",
    ),
)  # fmt: skip
