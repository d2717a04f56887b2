"""Migrate before a server starts, in its process."""

from __future__ import annotations

from collections.abc import Callable

from fastopp.database.migrations import migrate
from fastopp.settings import Settings


async def migrate_at_start(settings: Settings, report: Callable[[str], None]) -> None:
    """Run the pending migrations, if there are any; of servers that start at once, one runs them and the others wait.

    Without any, Alembic is not even imported. Raises as `migrate.upgrade` does.
    """
    if await migrate.pending(settings):
        done = await migrate.upgrade(settings)
        if done.applied:
            report(f"{len(done.applied)} migration(s) applied.")
