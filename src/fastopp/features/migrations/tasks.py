"""Migrate the database, which the queue itself is in."""

from __future__ import annotations

from typing import Any

from fastopp.database.migrations import migrate as migrations
from fastopp.database.migrations.results import MigrationResult
from fastopp.tasks.context import TaskContext
from fastopp.tasks.host import Host
from fastopp.tasks.task import task


@task(name="migrate", lock="migrate", queueing_lock="migrate")
async def migrate(context: TaskContext, *, allow_drop: bool = False) -> dict[str, Any]:
    """Bring the tables to the newest migration. One that deletes data fails unless `allow_drop` is true."""
    return await migrate_now(context.runtime, allow_drop=allow_drop)


async def migrate_now(runtime: Host, *, allow_drop: bool = False) -> dict[str, Any]:
    """The same, without a task around it. All or nothing, so there is no place to save. Raises MigrationError."""
    timeout = migrations.timeout_on(runtime.settings.platform)
    done = await migrations.upgrade(runtime.database, timeout=timeout, allow_drop=allow_drop)
    return {"message": _summary(done), "applied": [step.revision for step in done.applied], "current": done.current}


def _summary(done: MigrationResult) -> str:
    if not done.applied:
        return "All tables are there and up to date."
    return f"{len(done.applied)} migration(s) were applied; the database is at {done.current}."
