"""A worker as a process: `python -m tests.services.tasks_worker URL [concurrency]`; SIGTERM ends it."""

from __future__ import annotations

import asyncio
import signal
import sys

from fastopp.tasks.worker import worker
from tests.services.tasks import SHORT, open_project


async def main(url: str, concurrency: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_project(url, make=False, limits=SHORT) as runtime:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await worker.run_worker(runtime, concurrency=concurrency, stop=stop)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4))
