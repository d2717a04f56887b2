"""Deleting files: those with evidence against them, and by request those that no row names.

Several processes may sweep at once, and any may be killed between two steps: a sweep takes its files in the database
first, deletes them then, and removes their records last. What a killed sweep has taken is free again after an hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage import evidence
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.evidence import LEASE, ORPHAN_AGE
from fastopp.storage.keys import STAGING, is_reserved
from fastopp.storage.references import all_named_keys, named_keys

BATCH = 100  # files that are taken at once

P = ParamSpec("P")
T = TypeVar("T")


async def remove_leftovers(engine: AsyncEngine, storage: Storage, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove half-written files and every file with evidence against it. Return how many.

    Raises
    ------
    What `Storage.delete` does: the files that are left go with the next sweep.
    """
    removed = await storage.sweep()
    after = ""
    while keys := await run(engine, evidence.due_keys, after, BATCH, clock.now()):
        removed += await collect(engine, storage, keys, clock=clock)
        after = keys[-1]
    return removed


async def collect(engine: AsyncEngine, storage: Storage, keys: Collection[str], *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Delete those of the files against which there is evidence, unless a row names them. Return how many.

    Raises
    ------
    What `Storage.delete` does.
    """
    taken_at = clock.now()
    taken = await run(engine, evidence.take, keys, taken_at)
    if not taken:
        return 0
    finished: list[str] = []
    try:
        named = await run(engine, named_keys, storage, taken)
        for key in taken:
            if key not in named:
                if clock.now() - taken_at > LEASE / 2:  # this process was frozen: another one may take the file
                    break
                await storage.delete(key)
            finished.append(key)
    finally:
        if finished:
            await run(engine, evidence.forget, finished)
        if left := set(taken) - set(finished):
            await run(engine, evidence.release, left, clock.now())
    return sum(key not in named and not key.startswith(STAGING) for key in finished)


async def find_unclaimed(
    engine: AsyncEngine, storage: Storage, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncGenerator[StoredFile]:
    """Yield the files that no row of a loaded model names and against which there is no evidence.

    Files younger than an hour are left out: their uploads may not have committed yet.

    Raises
    ------
    What `Storage.list` does, and what the database raises when it has no tables.
    """
    await run(engine, evidence.recorded, ())  # before the database is migrated, nothing is known
    named = await run(engine, all_named_keys, storage)
    before = clock.now() - ORPHAN_AGE
    batch: list[StoredFile] = []
    async with aclosing(storage.list()) as files:
        async for file in files:
            if file.modified < before and file.key not in named and not is_reserved(file.key):
                batch.append(file)
            if len(batch) == BATCH:
                for unclaimed in await _without_evidence(engine, batch):
                    yield unclaimed
                batch = []
    for unclaimed in await _without_evidence(engine, batch):
        yield unclaimed


async def remove_unclaimed(engine: AsyncEngine, storage: Storage, keys: Sequence[str]) -> int:
    """Delete files that a person chose to delete, but for those that a row names by now. Return how many.

    Raises
    ------
    What `Storage.delete` does; what was deleted until then is gone.
    """
    removed = 0
    for first in range(0, len(keys), BATCH):
        batch = keys[first : first + BATCH]
        left = set(batch) - await run(engine, named_keys, storage, batch)
        async with asyncio.TaskGroup() as tasks:
            for key in left:
                tasks.create_task(storage.delete(key))
        removed += len(left)
    return removed


async def run(
    engine: AsyncEngine, function: Callable[Concatenate[Connection, P], T], *args: P.args, **options: P.kwargs
) -> T:
    """Call a function with a connection, in a separate short transaction."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")  # saves two round trips a statement
    async with engine.begin() as connection:
        return await connection.run_sync(function, *args, **options)


async def _without_evidence(engine: AsyncEngine, files: Sequence[StoredFile]) -> list[StoredFile]:
    if not files:
        return []
    known = await run(engine, evidence.recorded, [file.key for file in files])
    return [file for file in files if file.key not in known]
