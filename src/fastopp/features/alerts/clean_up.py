"""Remove old incidents, nightly."""

from __future__ import annotations

from fastopp.features.alerts import incidents
from fastopp.tasks.context import TaskContext


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Delete incidents that ended more than MONITOR_KEEP_DAYS ago."""
    runtime = context.runtime
    keep_days = runtime.settings.monitor_keep_days
    return {"incidents": await incidents.clean_up(runtime.database, runtime.clock.now(), keep_days)}
