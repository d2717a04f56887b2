"""Starts the application on this machine and measures what a cold start and pages take. Linux only."""

from __future__ import annotations

import asyncio
import os
import random
import re
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final

import httpx

from fastopp.checks.errors import CannotCheck
from fastopp.checks.own_process import run_oppman, trial_environment
from fastopp.platforms.detection import PLATFORMS
from fastopp.settings.reference import AppKinds

PROC: Final = Path("/proc")
PAGES: Final = 10
STARTS: Final = 2  # the first one may compile byte code, which a build has done
PATIENCE: Final = 30.0  # seconds until it answers
PORTS: Final = range(16384, 32768)  # below those that Linux gives to connections, which may take one meanwhile
MIB: Final = 1024 * 1024

_LINK = re.compile(r'href="(/(?!/|static/|logout)[^"#]*)"')


@dataclass(frozen=True, slots=True)
class TrialRun:
    """The measurements. Processor time is of all threads, in seconds of a whole core of this machine."""

    until_health: float
    """Processor time from the start to the first answer of the health path."""
    until_page: float
    """And from the start to the first page."""
    page_status: int
    resident: float
    """MiB after ten pages."""


async def measure(project: Path, *, platform: str, app_settings: AppKinds = ()) -> TrialRun:
    """Start the project's `main:app` under uvicorn, as on a platform, and look. Raises CannotCheck."""
    health_path = PLATFORMS[platform].health_path
    if not (PROC / "self/stat").is_file():
        raise CannotCheck("Only Linux reports the resources that a process has used.")
    if not (project / "main.py").is_file():
        raise CannotCheck("There is no main.py here.")
    with tempfile.TemporaryDirectory(prefix="fastopp-check-") as folder:
        environ = trial_environment(Path(folder), platform=platform, app_settings=app_settings)
        if (project / "oppman.py").is_file():
            await run_oppman(project, "migrate", "upgrade", environ=environ)
        runs = [await _run_once(project, environ, Path(folder) / "log", health_path) for _ in range(STARTS)]
    return min(runs, key=lambda run: run.until_page)


async def _run_once(project: Path, environ: dict[str, str], log: Path, health_path: str) -> TrialRun:
    async with _server(project, environ, log, health_path) as (pid, client):
        until_health = _processor_time(pid)
        first = await client.get("/")
        until_page = _processor_time(pid)
        links = list(dict.fromkeys(unescape(link) for link in _LINK.findall(first.text))) or ["/"]
        for number in range(PAGES - 1):
            await client.get(links[number % len(links)])
        return TrialRun(until_health, until_page, first.status_code, _resident(pid))


@asynccontextmanager
async def _server(
    project: Path, environ: dict[str, str], log: Path, health_path: str
) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    port = _free_port()
    words = ["-m", "uvicorn", "main:app", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=project, env=environ, stdin=asyncio.subprocess.DEVNULL, stdout=output,
            stderr=output,
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            await _wait(process, client, log, health_path)
            yield process.pid, client
    except httpx.HTTPError as error:
        raise CannotCheck(f"The application stopped answering: {_end_of(log)}") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _free_port() -> int:
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotCheck("No port is free on this machine.")


async def _wait(process: asyncio.subprocess.Process, client: httpx.AsyncClient, log: Path, health_path: str) -> None:
    """Wait until it answers at all, as a platform does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with suppress(httpx.TransportError):
            await client.get(health_path)
            return
        if process.returncode is not None:
            raise CannotCheck(f"The application does not start: {_end_of(log)}")
        if time.monotonic() > deadline:
            raise CannotCheck(f"The application did not answer within {PATIENCE:g} seconds.")
        await asyncio.sleep(0.01)


def _processor_time(pid: int) -> float:
    # Fields after the name, which may hold blanks: utime and stime are the 14th and 15th (man 5 proc).
    fields = (PROC / f"{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    pages = int((PROC / f"{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _end_of(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing."
