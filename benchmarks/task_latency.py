"""How long it takes from queuing a task to its start, with an idle worker in the application's process."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from benchmarks.server import ROOT
from benchmarks.task_app import tasks as stamped
from benchmarks.task_databases import QueueDatabase
from fastopp.core.apps import find_apps
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.settings import load_settings
from fastopp.tasks.worker.worker import worker_in_background

JOBS = 300
WARM = 5  # jobs that are not counted: the worker starts, connections are opened
PAUSE = (0.01, 0.05)  # seconds between two jobs, so that the worker is idle again, whatever it polls by


async def latencies(*databases: QueueDatabase) -> dict[str, list[float]]:
    """Seconds, by the database and by who queues: the same process, or another one."""
    figures = {}
    for database in databases:
        for elsewhere in (False, True):
            database.empty()
            who = "queued by another process" if elsewhere else "queued by the same process"
            figures[f"{database.name}, {who}"] = await _measure(database.url, elsewhere=elsewhere)
    return figures


async def _measure(url: str, *, elsewhere: bool) -> list[float]:
    stamped.delays.clear()
    async with _open(url) as runtime, worker_in_background(runtime):
        await defer(runtime, WARM)
        await _until(WARM)
        await asyncio.sleep(0.5)
        if elsewhere:
            command = (sys.executable, "-m", "benchmarks.task_latency", url)
            process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
            await process.wait()
            await _until(JOBS + 2 * WARM)
        else:
            await defer(runtime, JOBS)
            await _until(JOBS + WARM)
    return stamped.delays[-JOBS:]


async def defer(runtime: Runtime, jobs: int) -> None:
    """Queue jobs that know when they were, one after the other."""
    for _ in range(jobs):
        await asyncio.sleep(random.uniform(*PAUSE))
        await runtime.tasks.queue("stamp", sent=time.time())


async def _until(started: int) -> None:
    while len(stamped.delays) < started:  # noqa: ASYNC110 - what is measured is not to do more than it must
        await asyncio.sleep(0.01)


def _open(url: str):  # noqa: ANN202 - open_runtime's
    settings = load_settings({"DATABASE_URL": url}, env_file=Path("/nowhere"))
    return open_runtime(settings, find_apps(["benchmarks.task_app"]))


async def _main(url: str) -> None:
    async with _open(url) as runtime:
        await defer(runtime, WARM)
        await defer(runtime, JOBS)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
