"""Migrate as LeapCell needs it: behind its pooler, a statement at a time, and within the time of a request.

Every migration is all that, but for the time. Any number of instances may do it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from fastopp.database.migrations import migrate
from fastopp.database.migrations.results import Applied, MigrationResult
from fastopp.errors import FastOppError
from fastopp.settings import Settings, load_settings


class WithinEventLoop(FastOppError):
    """migrate_leapcell() cannot run within an event loop."""

    hint = "Await `fastopp.features.leapcell.migrations.upgrade_leapcell(settings)` there."


async def upgrade_leapcell(
    settings: Settings,
    *,
    progress: Callable[[Applied], None] | None = None,
    allow_drop: bool = False,
    folder: Path | None = None,
) -> MigrationResult:
    """Migrate the database of the settings. Raises as `migrate.upgrade` does."""
    timeout = migrate.REQUEST_TIMEOUT
    return await migrate.upgrade(settings, timeout=timeout, progress=progress, allow_drop=allow_drop, folder=folder)


def migrate_leapcell(
    settings: Settings | None = None,
    *,
    progress: Callable[[Applied], None] | None = None,
    allow_drop: bool = False,
    folder: Path | None = None,
) -> MigrationResult:
    """Migrate the database of the settings, by default those of the environment, as LeapCell needs it.

    Raises
    ------
    WithinEventLoop, SettingsError, MigrationError, DataWouldBeLost unless `allow_drop`, DatabaseUnavailable.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        work = upgrade_leapcell(settings or load_settings(), progress=progress, allow_drop=allow_drop, folder=folder)
        return asyncio.run(work)
    raise WithinEventLoop
