"""The cost of the monitor: processor time of a request, of a cold start and of a scrape, with MONITOR on and off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from statistics import median

from benchmarks.load import load
from benchmarks.project import BACKENDS, project
from benchmarks.server import ROOT, Server, compile_byte_code, serve

PATHS = ("/api/products?per_page=50&page=3", "/database-demo")
PRODUCTS = 1_000
PAIRS = 15  # rounds of each, one after the other
REQUESTS = 200  # a round
STARTS = 7
FIRST_PAGE = "/database-demo"
OFF, ON = {"MONITOR": "false"}, {"MONITOR": "true"}

COST, START, MEMORY, SCRAPE = 1.03, 0.010, 1_000_000, 0.060  # of a request; seconds; bytes; seconds

_IMPORTS = """
import time, sys
import fastopp.core.assembly, fastopp.features.accounts.detached, fastopp.features.jobs.metrics
began = time.process_time()
import fastopp.features.monitor.metrics, prometheus_client, prometheus_client.exposition
print(time.process_time() - began)
"""


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    print(
        f"Processor time with MONITOR=true beside MONITOR=false, in {PAIRS} interleaved rounds of {REQUESTS} requests."
    )
    print("The ratio is the median over the pairs of neighbours.\n")
    print(f"{'':44}{'off':>10}{'on':>10}{'ratio':>8}{'aim':>10}")
    for backend in BACKENDS:
        async with project(backend, products=PRODUCTS) as environ:
            async with serve("main:app", environ | OFF) as off, serve("main:app", environ | ON) as on:
                for path in PATHS:
                    await _compare(f"{path.partition('?')[0]}, {backend}", path, off, on)
            await _compare_starts(backend, environ)
    print(f"{'import of prometheus_client for a scrape':44}{'':10}{_imports() * 1000:8.1f}ms{'':8}"
          f"{f'≤ {SCRAPE * 1000:.0f} ms':>10}")  # fmt: skip


async def _compare(name: str, path: str, off: Server, on: Server) -> None:
    for server in (off, on):
        await server.first_answer(path)
        await load(server.port, path, REQUESTS)  # not counted: caches fill
    costs: list[tuple[float, float]] = []
    for index in range(PAIRS):
        pair = {}
        for server in (off, on) if index % 2 else (on, off):
            before = server.processor_seconds()
            await load(server.port, path, REQUESTS)
            pair[server.port] = (server.processor_seconds() - before) * 1000 / REQUESTS
        costs.append((pair[off.port], pair[on.port]))
    ratio = median(with_ / without for without, with_ in costs)
    each = [median(column) for column in zip(*costs, strict=True)]
    print(f"{name:44}{each[0]:8.3f}ms{each[1]:8.3f}ms{ratio:8.3f}{f'≤ {COST}':>10}", flush=True)


async def _compare_starts(backend: str, environ: Mapping[str, str]) -> None:
    seconds: tuple[list[float], list[float]] = [], []
    memory: tuple[list[int], list[int]] = [], []
    for _ in range(STARTS):
        for index, setting in enumerate((OFF, ON)):
            async with serve("main:app", {**environ, **setting}) as server:
                await server.first_answer(FIRST_PAGE)
                seconds[index].append(server.processor_seconds())
                await asyncio.sleep(0.2)
                memory[index].append(server.resident_bytes())
    off, on = (median(column) * 1000 for column in seconds)
    print(f"{f'first page, {backend}':44}{off:8.1f}ms{on:8.1f}ms{on - off:+6.1f}ms{f'≤ {START * 1000:.0f} ms':>10}")
    off, on = (median(column) / 1e6 for column in memory)
    last = f"≤ {MEMORY / 1e6:.0f} MB"
    print(f"{f'memory after it, {backend}':44}{off:8.2f}MB{on:8.2f}MB{on - off:+6.2f}MB{last:>10}",
          flush=True)  # fmt: skip


def _imports() -> float:
    """Return the processor seconds of the imports that only a scrape needs."""
    runs = [
        subprocess.run([sys.executable, "-c", _IMPORTS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(STARTS)
    ]
    return median(map(float, runs))
