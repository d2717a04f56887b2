"""Roll up figures and remove old ones, nightly."""

from __future__ import annotations

from fastopp.features.monitor import rolling
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Roll up the figures of four hours, and remove those older than MONITOR_KEEP_DAYS. Raises Unfinished."""
    runtime = context.runtime
    now = runtime.clock.time()
    while await rolling.roll_up(runtime.database, now):
        if context.should_stop():
            raise Unfinished
    await rolling.forget(runtime.database, now, runtime.settings.monitor_keep_days)
    return {}
