"""What the LeapCell emulator adds to a request, how long it takes to start, and a cold start under LeapCell's rules."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.load import load
from benchmarks.server import ROOT, Server, serve
from leapcell_emulator.emulator import Emulator, EmulatorOptions
from leapcell_emulator.loopback import free_port
from leapcell_emulator.rules import Rules

PROJECTS = ROOT / "tests" / "services" / "emulator_projects"
PLAIN = PROJECTS / "plain_fastapi"
PLAIN_APP = "tests.services.emulator_projects.plain_fastapi.main:app"
REQUESTS = 1000  # of each kind, in turn
COLD_STARTS = 3
PARALLEL = 20  # connections
ROUNDS = 7
SECRETS = {"SECRET_KEY": "a-key-for-a-benchmark-of-32-characters", "FASTOPP_PLATFORM": "leapcell"}

LEGEND = f"""\
Added: medians of {REQUESTS} requests over one connection each, straight to uvicorn and through the emulator in turn.
Parallel: {PARALLEL} connections, {REQUESTS} requests in each of {ROUNDS} rounds: in turn straight to uvicorn, through a
proxy that only passes on (aiohttp on both sides), and through the emulator with two instances of the same application;
medians, and the processor time of the process that is asked.
Cold: from a request to a dormant instance to its answer, with the 29 % of a processor that 512 MB buy, and the 250 ms
that LeapCell adds; medians of {COLD_STARTS}.
"""


async def run() -> None:
    """Print the table."""
    print(LEGEND)
    await _added(freeze=True)
    await _added(freeze=False)
    await _parallel()
    await _start()
    await _cold("bare FastAPI", PLAIN, "/", {})
    await _cold("FastOpp, its health path", ROOT, "/kaithhealth", SECRETS)
    await _cold("FastOpp, a page of HTML", ROOT, "/", SECRETS)


async def _added(*, freeze: bool) -> None:
    rules = Rules(instances=1, freeze=freeze)
    async with _emulating(PLAIN, rules) as emulator, serve(PLAIN_APP) as server:
        through, straight = _Client(emulator.url), _Client(server.url)
        await asyncio.gather(through.open(), straight.open())
        times: dict[_Client, list[float]] = {through: [], straight: []}
        for _ in range(REQUESTS):
            for client, taken in times.items():
                taken.append(await client.get("/kaithhealth"))
        through.close()
        straight.close()
    name = "frozen between requests" if freeze else "not frozen"
    added, direct = median(times[through]) - median(times[straight]), median(times[straight])
    print(f"{'added to a request, ' + name:45}{added * 1000:8.2f} ms   (straight: {direct * 1000:.2f} ms)", flush=True)


async def _parallel() -> None:
    """Print the cost of the gateway under load, beside a proxy that does nothing else."""
    proxy_port, port = free_port(), free_port()
    program = [sys.executable, "-m"]
    async with serve(PLAIN_APP) as server, contextlib.AsyncExitStack() as stack:
        await server.first_answer("/kaithhealth")
        proxy = await stack.enter_async_context(
            _process(*program, "benchmarks.bare_proxy", str(proxy_port), server.url)
        )
        # Without a log of each request, as the server that is asked straight.
        start = "uvicorn main:app --port 8080 --log-level error --no-access-log"
        options = [
            "--start-command",
            start,
            "--no-build",
            "--async-port",
            "0",
            "--no-database",
            "--no-object-storage",
            "--port",
            str(port),
        ]
        emulator = await stack.enter_async_context(
            _process(*program, "leapcell_emulator", "emulate", "--folder", str(PLAIN), *options)
        )
        servers = {
            "uvicorn": server,
            "a bare proxy": Server(psutil.Process(proxy.pid), proxy_port),
            "the emulator": Server(psutil.Process(emulator.pid), port),
        }
        rates: dict[str, list[float]] = {name: [] for name in servers}
        spent: dict[str, list[float]] = {name: [] for name in servers}
        for each in servers.values():
            await each.first_answer("/kaithhealth")
        for _ in range(ROUNDS):
            for name, each in servers.items():
                before = each.processor_seconds()
                rates[name].append(await load(each.port, "/kaithhealth", REQUESTS, connections=PARALLEL))
                spent[name].append((each.processor_seconds() - before) / REQUESTS)
    for name in servers:
        ratio = median(rate / straight for rate, straight in zip(rates[name], rates["uvicorn"], strict=True))
        took = f"{median(spent[name]) * 1000:.2f} ms of a processor"
        print(f"{'parallel: ' + name:45}{median(rates[name]):8.0f} /s {ratio:6.2f} x   {took}", flush=True)


@contextlib.asynccontextmanager
async def _process(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=nowhere, stderr=nowhere)
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def _start() -> None:
    from leapcell_emulator.parts import make_services  # noqa: PLC0415 - what is measured

    begun = time.perf_counter()
    services = make_services(database=True, object_storage=True, cron=None)
    async with _emulating(ROOT, Rules(), variables=SECRETS, async_port=0, services=services):
        taken = time.perf_counter() - begun
    print(f"{'start of two instances and all services':45}{taken:8.2f} s", flush=True)


async def _cold(name: str, folder: Path, path: str, variables: dict[str, str]) -> None:
    rules = Rules(instances=1, cpu_share=True)
    times = []
    # The database is never asked, but the settings want the address of one.
    url = {"DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:9/none?sslmode=disable"} if variables else {}
    async with _emulating(folder, rules, variables=variables | url) as emulator:
        limited = emulator.state()["instances"][0]["cpu_limited"]
        for _ in range(COLD_STARTS):
            await emulator.act("sleep", emulator.fleet.running()[0].name)
            client = _Client(emulator.url)
            await client.open()
            times.append(await client.get(path))
            client.close()
    note = "" if limited else "   (no control group can be made here: with a whole processor)"
    print(f"{'cold: ' + name:45}{median(times):8.2f} s{note}", flush=True)


def _emulating(folder: Path, rules: Rules, *, services: Any = None, **options: Any) -> Emulator:  # noqa: ANN401
    chosen = EmulatorOptions(folder=folder, rules=rules, port=0, build=False, **options)
    return Emulator(chosen, services=services) if services else Emulator(chosen)


class _Client:
    """One connection, without a library whose own time would be measured."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rpartition(":")[2])
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Connect, as soon as somebody listens."""
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
                return
            await asyncio.sleep(0.05)

    async def get(self, path: str) -> float:
        """Seconds that a request takes."""
        begun = time.perf_counter()
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        if b"content-length:" in head:
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            await self._reader.readexactly(length)
        else:
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readline()
        return time.perf_counter() - begun

    def close(self) -> None:
        self._writer.close()
