"""Tasks that do as little as a task can."""

from __future__ import annotations

import time

from fastopp.tasks.task import task

delays: list[float] = []
"""Seconds from `sent` to the start of each `stamp` that this process has run."""


@task(name="trivial")
async def trivial() -> None:
    """Nothing."""


@task(name="stamp")
async def stamp(sent: float) -> None:
    """Note how long it took until this started."""
    delays.append(time.time() - sent)
