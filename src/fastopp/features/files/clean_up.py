"""Remove files that are garbage, nightly."""

from __future__ import annotations

from typing import Final

from fastopp.features.jobs.running import run_until_stopped
from fastopp.storage.sweep import remove_leftovers
from fastopp.tasks.context import TaskContext

LAST: Final = True  # listing a large bucket may take all the time there is


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Remove what interrupted uploads and deleted rows left."""
    runtime = context.runtime
    sweep = remove_leftovers(runtime.database.engine, runtime.storage, clock=runtime.clock)
    return {"files": await run_until_stopped(context, sweep, _nothing_to_report)}


async def _nothing_to_report() -> None:
    """The number of files is unknown before they have been listed."""
