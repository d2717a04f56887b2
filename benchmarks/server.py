"""A server process under measurement: uvicorn with one application, its processor time and memory."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent
START_PATIENCE = 60  # seconds for a process to answer


def processor_seconds(pid: int) -> float:
    """User and system time since a process began, of all its threads, ended ones too, in nanosecond steps."""
    clock = (~pid << 3) | 2  # what clock_getcpuclockid(3) returns, which Python does not offer
    return time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    process: psutil.Process
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def processor_seconds(self) -> float:
        """User and system time since the process began."""
        return processor_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        """Resident memory."""
        return int(self.process.memory_info().rss)

    async def get(self, path: str) -> int:
        """Ask for a page over a new connection; returns the status."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return int(answer.split(b" ", 2)[1]) if answer else 0

    async def read(self, path: str) -> bytes:
        """The body of a page."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n\r\n")[2]

    async def first_answer(self, path: str) -> None:
        """Wait for the first 200 at `path`. Polls sparsely, so that asking costs next to nothing."""
        for _ in range(START_PATIENCE * 200):
            try:
                if await self.get(path) == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.005)
        raise TimeoutError(f"{path} was not answered with 200.")


@asynccontextmanager
async def serve(
    app: str, environ: Mapping[str, str] | None = None, *, wrapper: Sequence[str] = ()
) -> AsyncIterator[Server]:
    """Run `uvicorn app` on a free port, with byte code where `compile_byte_code` put it.

    app: `module:application`, or `module:function()` that makes one.
    wrapper: a command to run it by, that execs it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*wrapper, sys.executable, "-m", "uvicorn", app.removesuffix("()"), "--port", str(port)]
    command += ["--log-level", "error", "--no-access-log", *(["--factory"] if app.endswith("()") else [])]
    base = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - fork and exec take a millisecond, before anything is measured
            command, cwd=ROOT, env=base | dict(environ or {}), stdout=log, stderr=log
        )
        try:
            yield Server(psutil.Process(process.pid), port)
        except TimeoutError:
            log.seek(0)
            sys.stderr.write(log.read().decode())
            raise
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def compile_byte_code() -> None:
    """As a build command does; a fresh interpreter must not compile anything."""
    libraries = str(Path(psutil.__file__).parent.parent)
    subprocess.run([sys.executable, "-m", "compileall", "-q", libraries, "src", "demo", "main.py", "benchmarks"],
                   cwd=ROOT, check=False, stdout=subprocess.DEVNULL)  # fmt: skip
