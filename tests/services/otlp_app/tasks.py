"""A task."""

from __future__ import annotations

from fastopp.tasks.task import task


@task(name="add")
async def add(a: int = 1, b: int = 2) -> int:
    """Add two numbers."""
    if a < 0:
        raise ValueError("a negative number")
    return a + b
