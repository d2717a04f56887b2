"""Ask before a migration deletes data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastopp.console.output import confirm, in_one_line, say
from fastopp.database.migrations.errors import DataWouldBeLost

T = TypeVar("T")


async def confirming_drops(migrate: Callable[[bool], Awaitable[T]], *, yes: bool) -> T:
    """Migrate without deleting anything; name what would be lost, ask, and allow it.

    `migrate` is called with `allow_drop`. Without a terminal and without `--yes`, this ends with status 1.
    """
    try:
        return await migrate(False)
    except DataWouldBeLost as error:
        say("This migration deletes data:", style="yellow")
        for each in error.losses:
            say(f"  {in_one_line(each)}", style="yellow")
    confirm("Delete it? A backup comes first: `python oppman.py backup`.", yes=yes)
    return await migrate(True)
