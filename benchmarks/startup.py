"""What a cold start costs, beside a bare FastAPI hello: processor time to the first answer, and memory."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.server import ROOT, Server, compile_byte_code, serve

RUNS = 7
LEAPCELL_SHARE = 0.108  # of a core, at 192 MB (docs.leapcell.io/service)
PAGES = ("/", "/database-demo", "/webinar-demo", "/login", "/license", "/api/products", "/api/webinar-attendees",
         "/database-status", "/openapi.json", "/health")  # fmt: skip


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    with tempfile.TemporaryDirectory() as folder:
        environ = await _project(Path(folder))
        rows = [
            await _compare("first 200 on /kaithhealth", "/kaithhealth", environ, budget=1.3),
            await _compare("first database page", "/database-demo", environ, budget=2.2),
        ]
        memory = await _memory(environ)
    print(f"{'':32}{'FastAPI':>10}{'FastOpp':>10}{'ratio':>8}{'aim':>6}{f'at {LEAPCELL_SHARE:.1%} of a core':>22}")
    for name, peer, ours, budget in rows:
        print(f"{name:32}{peer:9.3f}s{ours:9.3f}s{ours / peer:8.2f}{budget:6.1f}"
              f"{peer / LEAPCELL_SHARE:10.1f}s /{ours / LEAPCELL_SHARE:7.1f}s")  # fmt: skip
    peer_memory, our_memory = memory
    print(f"{'resident after ten pages':32}{peer_memory / 2**20:8.1f}Mi{our_memory / 2**20:8.1f}Mi"
          f"{our_memory / peer_memory:8.2f}{1.8:6.1f}")  # fmt: skip


async def _project(folder: Path) -> dict[str, str]:
    """A migrated and seeded SQLite project, run by the rules of a platform that freezes the processor."""
    environ = {
        "DATABASE_URL": f"sqlite:///{folder}/bench.db",
        "UPLOAD_DIR": f"{folder}/uploads",
        "SECRET_KEY": "b3nchmarks-0nly-K7pQ2vX9mT4wZ8rL5cJ1hY6dF0",
    }
    local = environ | {"FASTOPP_PLATFORM": "local", "PATH": "/usr/bin:/bin"}
    for arguments in (["oppdemo.py", "init"],):
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, env=local, stdout=-3)
        if await process.wait() != 0:
            raise SystemExit("The demo could not be seeded.")
    return environ | {"FASTOPP_PLATFORM": "leapcell"}


async def _compare(name: str, path: str, environ: dict[str, str], *, budget: float) -> tuple[str, float, float, float]:
    peer, ours = [], []
    for _ in range(RUNS):
        async with serve("benchmarks.peers:hello") as server:
            peer.append(await _cost(server, "/"))
        async with serve("main:app", environ) as server:
            ours.append(await _cost(server, path))
    return name, median(peer), median(ours), budget


async def _cost(server: Server, path: str) -> float:
    await server.first_answer(path)
    return server.processor_seconds()


async def _memory(environ: dict[str, str]) -> tuple[float, float]:
    peer, ours = [], []
    for _ in range(3):
        async with serve("benchmarks.peers:hello") as server:
            await server.first_answer("/")
            for _ in PAGES:
                await server.get("/")
            peer.append(server.resident_bytes())
        async with serve("main:app", environ) as server:
            await server.first_answer("/kaithhealth")
            for page in PAGES:
                status = await server.get(page)
                if status != 200:
                    raise SystemExit(f"{page} answered {status}.")
            ours.append(server.resident_bytes())
    return median(peer), median(ours)
