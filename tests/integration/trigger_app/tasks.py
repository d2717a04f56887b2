"""Tasks for the tests of triggers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task


def note(path: str, text: str) -> int:
    """Append a line; how many there are then."""
    with Path(path).open("a+") as file:
        file.write(f"{text}\n")
        file.seek(0)
        return len(file.readlines())


@task(name="note")
async def note_line(path: str, text: str = "noted") -> dict[str, int]:
    return {"lines": note(path, text)}


@task(name="count")
async def count(context: TaskContext, path: str, steps: int, pause: float = 0.02) -> dict[str, int]:
    """Write the numbers up to `steps`, each once, in as many tries as it takes."""
    for number in range(context.place.get("next", 0), steps):
        if context.should_stop():
            raise Unfinished
        await context.runtime.clock.sleep(pause)
        async with context.transaction():
            note(path, str(number))
            context.place["next"] = number + 1
        await context.progress(number + 1, steps, "counting")
    return {"steps": steps}


@task(name="once-only", lock="once-only", queueing_lock="once-only")
async def once_only(path: str, wait: str = "") -> None:
    note(path, "began")
    while wait and not Path(wait).exists():  # noqa: ASYNC240, ASYNC110 - a test's
        await asyncio.sleep(0.02)
    note(path, "ended")


@task(name="fails-first", retry=Retry(attempts=4, first=0.3, factor=1, jitter=0))
async def fails_first(path: str, times: int = 1) -> dict[str, int]:
    tries = note(path, "tried")
    if tries <= times:
        raise ValueError(f"try number {tries}")
    return {"tries": tries}


@task(name="fails")
async def fails(path: str) -> None:
    note(path, "tried")
    raise ValueError("as it should")


@task(name="spawns")
async def spawns(context: TaskContext, path: str, children: int) -> None:
    async with context.transaction() as session:
        tasks = context.runtime.tasks.within(session)
        for number in range(children):
            await tasks.queue("note", path=path, text=str(number))
