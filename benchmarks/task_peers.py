"""A queue under measurement, in a process of its own: `python -m benchmarks.task_peers PEER URL`.

It says "ready" once everything is imported and opened. Then each line of its input is an order, `drain 8` or
`defer 2000`, answered by the seconds that it took.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from benchmarks.server import ROOT, processor_seconds

Order = Callable[[int], Awaitable[object]]
Orders = dict[str, Order]


class PeerProcess:
    """The other side of such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, *words: object) -> None:
        """Send an order."""
        assert self._process.stdin
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def answer(self) -> str:
        """Wait for the answer. Raises SystemExit when the process ended instead."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("A process under measurement has failed.")
        return line.strip()

    def seconds(self, *words: object) -> float:
        """Send an order and wait: how long it took."""
        self.order(*words)
        return float(self.answer())

    def processor_seconds(self) -> float:
        """User and system time since the process began."""
        return processor_seconds(self._process.pid)


@contextmanager
def peer_process(name: str, url: str) -> Iterator[PeerProcess]:
    """Such a process, ready."""
    command = [sys.executable, "-m", "benchmarks.task_peers", name, url]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        peer = PeerProcess(process)
        try:
            peer.answer()
            yield peer
        finally:
            process.kill()


@asynccontextmanager
async def ours(url: str) -> AsyncIterator[Orders]:
    """FastOpp: `drain` works everything, `drain_some` so many; `defer` is a transaction each, `batch` all in one."""
    from fastopp.core.apps import find_apps  # noqa: PLC0415 - peers are not to load each other's libraries
    from fastopp.core.runtime import open_runtime  # noqa: PLC0415 - as above
    from fastopp.settings import load_settings  # noqa: PLC0415 - as above
    from fastopp.tasks.worker import drain  # noqa: PLC0415, F401 - imported before the clock runs, as the peers' are

    settings = load_settings({"DATABASE_URL": url}, env_file=Path("/nowhere"))
    async with open_runtime(settings, find_apps(["benchmarks.task_app"])) as runtime:
        assert runtime.tasks.known  # FastOpp's own tasks import FastAPI, as a web process has done

        async def defer(number: int) -> None:
            for _ in range(number):
                await runtime.tasks.queue("trivial")

        async def batch(number: int) -> None:
            await runtime.tasks.queue_many("trivial", ({} for _ in range(number)))

        async def drain_some(number: int) -> None:
            await runtime.tasks.drain(None, limit=number)

        yield {
            "drain": lambda _concurrency: runtime.tasks.drain(None),
            "drain_some": drain_some,
            "defer": defer,
            "batch": batch,
        }


@asynccontextmanager
async def procrastinate(url: str) -> AsyncIterator[Orders]:
    """procrastinate 3, as its documentation shows it."""
    from procrastinate import App, PsycopgConnector  # noqa: PLC0415 - as above

    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    app = App(connector=PsycopgConnector(conninfo=url))

    @app.task(name="trivial")
    async def trivial() -> None: ...

    async def defer(number: int) -> None:
        for _ in range(number):
            await trivial.defer_async()

    async with app.open_async():
        yield {
            "drain": lambda concurrency: app.run_worker_async(wait=False, concurrency=concurrency),
            "defer": defer,
            "batch": lambda number: trivial.batch_defer_async(*[{}] * number),
            "install": lambda _: app.schema_manager.apply_schema_async(),
        }


@asynccontextmanager
async def pgqueuer(url: str) -> AsyncIterator[Orders]:
    """pgqueuer 1.6, as its documentation shows it: asyncpg, and a drain that takes batches."""
    import asyncpg  # noqa: PLC0415 - as above
    from pgqueuer import PgQueuer  # noqa: PLC0415 - as above
    from pgqueuer.db import AsyncpgDriver  # noqa: PLC0415 - as above
    from pgqueuer.queries import Queries  # noqa: PLC0415 - as above
    from pgqueuer.types import QueueExecutionMode  # noqa: PLC0415 - as above

    async def drain(batch: int) -> None:
        connection = await asyncpg.connect(url)
        queuer = PgQueuer(AsyncpgDriver(connection))

        @queuer.entrypoint("trivial")
        async def trivial(_job: object) -> None: ...

        await queuer.run(batch_size=batch, mode=QueueExecutionMode.drain)
        await connection.close()

    async def fill(number: int) -> None:
        connection = await asyncpg.connect(url)
        queries = Queries(AsyncpgDriver(connection))
        await queries.enqueue(["trivial"] * number, [None] * number, [0] * number)
        await connection.close()

    async def install(_: int) -> None:
        connection = await asyncpg.connect(url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    yield {"drain": drain, "batch": fill, "install": install}


PEERS = {"FastOpp": ours, "procrastinate": procrastinate, "pgqueuer": pgqueuer}


async def main(name: str, url: str) -> None:
    """Follow orders until there are no more."""
    async with PEERS[name](url) as orders:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            order, number = line.split()
            began = time.perf_counter()
            await orders[order](int(number))
            print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
