"""Remove expired cached values, nightly."""

from __future__ import annotations

from fastopp.tasks.context import TaskContext


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Remove expired values, and the oldest beyond the bounds."""
    return {"cached_values": await context.runtime.shared_cache.clean_up()}
