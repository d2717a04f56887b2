"""Remove old errors, nightly."""

from __future__ import annotations

from fastopp.features.errors import groups
from fastopp.tasks.context import TaskContext


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Delete errors that are older than ERRORS_KEEP_DAYS, and what is beyond the most that is kept."""
    runtime = context.runtime
    return {"errors": await groups.clean_up(runtime.database, runtime.clock, runtime.settings.errors_keep_days)}
