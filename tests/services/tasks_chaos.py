"""One of the processes of the tests of bad days: `python -m tests.services.tasks_chaos URL worker|drains|defers NAME`.

A worker, a process that drains again and again as a platform's requests do, or one that queues tasks in transactions of
its own and keeps a record of each beside it.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.worker import worker
from tests.services.tasks import SHORT, open_project

IN_ONE_TRANSACTION = 20
TRANSACTIONS = 20
"""A process queues no more than this many: a busy machine, which kills later, is not to get more work for it."""

KINDS = (
    "errands.once",
    "errands.once",
    "errands.walk",
    "errands.told",
    "errands.once",
    "errands.walk",
    "errands.guarded",
)


async def work(runtime: Runtime, stop: asyncio.Event) -> None:
    """As `oppman.py worker`."""
    await worker.run_worker(runtime, concurrency=4, stop=stop)


async def drains(runtime: Runtime, stop: asyncio.Event) -> None:
    """One drain after the other."""
    while not stop.is_set():
        try:
            await runtime.tasks.drain(timedelta(seconds=2))
        except DatabaseUnavailable:
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.02)


async def defers(runtime: Runtime, stop: asyncio.Event, name: str) -> None:
    """Transactions of some tasks each, and of the record that they were wished for."""
    number = 0
    while not stop.is_set():
        if number >= TRANSACTIONS * IN_ONE_TRANSACTION:
            await stop.wait()
            return
        try:
            async with runtime.database.transaction() as session:
                tasks, connection = runtime.tasks.within(session), await session.connection()
                for _ in range(IN_ONE_TRANSACTION):
                    number += 1
                    wish = f"{name}-{number}"
                    status = await tasks.queue(KINDS[number % len(KINDS)], name=wish)
                    values = {"name": wish, "job": status.id}
                    await connection.execute(text("INSERT INTO wishes (name, job) VALUES (:name, :job)"), values)
        except (DatabaseUnavailable, DBAPIError):
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.03)


async def main(url: str, what: str, name: str) -> None:
    """Do it until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_project(url, make=False, limits=SHORT, DB_TIMEOUT="3") as runtime:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        match what:
            case "worker":
                await work(runtime, stop)
            case "drains":
                await drains(runtime, stop)
            case "defers":
                await defers(runtime, stop, name)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
