"""What a cold start costs, beside a bare FastAPI hello: processor time to the first answer, and memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from statistics import median

from benchmarks.project import BACKENDS, DRIVERS, project
from benchmarks.server import Server, compile_byte_code, serve
from benchmarks.share import limited_to

RUNS = 7
RUNS_ON_A_SHARE = 3  # each takes seconds
LEAPCELL_SHARE = 0.108  # of a core, at 192 MB (docs.leapcell.io/service)
HELLO = "benchmarks.peers:hello"
BARE_ORM = "benchmarks.bare_orm:hello()"
HEALTH, FIRST_PAGE = "/kaithhealth", "/database-demo"
PAGES = ("/", "/database-demo", "/webinar-demo", "/login", "/license", "/api/products", "/api/webinar-attendees",
         "/database-status", "/design-demo", "/health")  # fmt: skip

LEGEND = f"""\
Processor time from exec to the first 200, of all threads; resident memory after ten pages. Byte code is compiled.
Medians of {RUNS} alternating runs under the same uvicorn. In seconds: {{share}}.
The existing FastOpp 0.4.8: 2.5 times FastAPI's processor time (3.2 times without byte code), on LeapCell's share of
a core 14 s (38 s) where FastAPI takes 5.7 s (11.8 s); and it grows by 157 KB a request.
"""


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    with limited_to(LEAPCELL_SHARE) as wrapper:
        applied = "really run with" if wrapper else "computed, since no control group can be made here, for"
        print(LEGEND.format(share=f"the clock's, {applied} {LEAPCELL_SHARE:.1%} of a core"))
        print(f"{'':43}{'FastAPI':>9}{'FastOpp':>9}{'ratio':>7}{'aim':>8}{f'at {LEAPCELL_SHARE:.1%}':>17}")
        for backend in DRIVERS:
            async with project(backend) as environ:
                if backend == BACKENDS[0]:  # which database makes no difference to the health path
                    await _compare("first 200 on /kaithhealth", HEALTH, environ, 1.3, wrapper)
                await _compare(f"first database page, {backend}", FIRST_PAGE, environ, 2.2, wrapper)
                await _compare_memory(f"resident after ten pages, {backend}", environ, 1.8)


async def _compare(name: str, path: str, environ: Mapping[str, str], aim: float, wrapper: list[str] | None) -> None:
    peer, ours = [], []
    for _ in range(RUNS):
        peer.append(await _processor_time(HELLO, "/", {}))
        ours.append(await _processor_time("main:app", path, environ))
    seconds = [median(peer) / LEAPCELL_SHARE, median(ours) / LEAPCELL_SHARE]
    if wrapper:
        clock: list[list[float]] = [[], []]
        for _ in range(RUNS_ON_A_SHARE):
            clock[0].append(await _clock_time(HELLO, "/", {}, wrapper))
            clock[1].append(await _clock_time("main:app", path, environ, wrapper))
        seconds = [median(column) for column in clock]
    print(f"{name:43}{median(peer):8.3f}s{median(ours):8.3f}s{median(ours) / median(peer):7.2f}{f'≤ {aim}':>8}"
          f"{seconds[0]:7.1f}s /{seconds[1]:6.1f}s", flush=True)  # fmt: skip


async def _processor_time(app: str, path: str, environ: Mapping[str, str]) -> float:
    async with serve(app, environ) as server:
        await server.first_answer(path)
        return server.processor_seconds()


async def _clock_time(app: str, path: str, environ: Mapping[str, str], wrapper: list[str]) -> float:
    began = time.perf_counter()
    async with serve(app, environ, wrapper=wrapper) as server:
        await server.first_answer(path)
        return time.perf_counter() - began


async def _compare_memory(name: str, environ: Mapping[str, str], aim: float) -> None:
    peer, ours, orm = [], [], []
    for _ in range(3):
        async with serve(HELLO) as server:
            peer.append(await _resident(server, ["/"] * len(PAGES)))
        async with serve(BARE_ORM, environ) as server:
            orm.append(await _resident(server, ["/"] * len(PAGES)))
        async with serve("main:app", environ) as server:
            ours.append(await _resident(server, PAGES))
    print(f"{name:43}{median(peer) / 2**20:6.1f}MiB{median(ours) / 2**20:6.1f}MiB"
          f"{median(ours) / median(peer):7.2f}{f'≤ {aim}':>8}")  # fmt: skip
    print(f"{'  FastAPI, SQLAlchemy and the driver alone':43}{'':9}{median(orm) / 2**20:6.1f}MiB"
          f"{median(orm) / median(peer):7.2f}", flush=True)  # fmt: skip


async def _resident(server: Server, pages: list[str] | tuple[str, ...]) -> int:
    await server.first_answer(pages[0])
    for page in pages:
        status = await server.get(page)
        if status != 200:
            raise SystemExit(f"{page} answered {status}.")
    await asyncio.sleep(0.1)
    return server.resident_bytes()
