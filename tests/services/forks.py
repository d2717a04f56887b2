"""Python programs that start in milliseconds, forked from a process that has imported the libraries already.

Most of a start of Python is the import of libraries: 0.7 s of a processor for a command of FastOpp. Tests start some
hundreds of programs; where the start itself is not what they test, they start them here. `Program` has what they use of
`subprocess.Popen`.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT

SERVER = Path(__file__).with_name("forkserver.py")
LIBRARIES = (
    "aiosqlite", "alembic.command", "anyio._backends._asyncio", "argon2", "asyncio", "bcrypt", "fastapi", "httpx",
    "itsdangerous", "jinja2.ext", "jwt", "nh3", "obstore", "PIL.Image", "croniter", "prometheus_client", "psycopg",
    "pwdlib", "python_multipart", "rich.console",
    "rich.table", "rich.progress", "sqladmin", "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.aiosqlite", "sqlalchemy.ext.asyncio",
    "sqlmodel", "starlette_compress", "typer", "typer.rich_utils", "uvicorn", "uvicorn.lifespan.on",
    "uvicorn.protocols.http.httptools_impl", "uvloop",
    *(["pydantic.v1"] if sys.version_info < (3, 14) else []),  # which FastAPI imports there
)  # fmt: skip


SHARED = "FORKS_SOCKET"
"""The variable that names the socket of a server which the processes of a test run share."""


@cache
def start_server() -> Path:
    """Start a server that ends with this process, unless there is a shared one. Return its socket."""
    if shared := os.environ.get(SHARED):
        return Path(shared)
    folder = Path(tempfile.mkdtemp(prefix="forks-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
    path = folder / "socket"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    server = subprocess.Popen([sys.executable, SERVER, path, *LIBRARIES], stdin=PIPE, env=environ)

    def stop() -> None:
        assert server.stdin
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    while not path.exists():
        assert server.poll() is None, "the server of forks has ended"
        time.sleep(0.01)
    return path


SHIM = """\
#!{python} -IS
import json, os, signal, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
request = {{"words": sys.argv[1:], "folder": os.getcwd(), "environ": dict(os.environ), "numbers": [0, 1, 2]}}
request |= {{"executable": sys.executable, "new_session": False, "finalize": False, "own_imports": False}}
line = json.dumps(request).encode() + b"\\n"
rest = line[socket.send_fds(server, [line], [0, 1, 2]):]
if rest:  # `sendall` would send nothing, too, and fail if the program has ended by now
    server.sendall(rest)
answers = server.makefile("rb")
pid = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(pid, number))
status = int(answers.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def write_shim(path: Path, server: Path | None = None) -> None:
    """Write a program that runs what `python` runs, in a fork of the server, for what a shell starts."""
    path.write_text(SHIM.format(python=sys.executable, socket=str(server or start_server())), encoding="utf-8")
    path.chmod(0o755)


def shared_shim() -> Path:
    """Return the program of `write_shim` beside the server's socket."""
    path = start_server().with_name("python")
    if not path.exists():
        own = path.with_name(f"python-{os.getpid()}")  # another process may be at it, too
        write_shim(own)
        own.rename(path)
    return path


class Program:
    """A forked process that runs what `python WORDS` runs. Its methods are those of `subprocess.Popen`.

    With `finalize` the interpreter frees everything at the end, for tests of just that. With `own_imports` it imports
    the framework itself, for tests of what is imported. With `fork_children` what it starts by `sys.executable` is
    forked too.
    """

    def __init__(
        self,
        words: Sequence[str | Path],
        *,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
        text: bool = False,
        finalize: bool = False,
        own_imports: bool = False,
        fork_children: bool = False,
    ) -> None:
        self.args = [str(word) for word in words]
        self.returncode: int | None = None
        self._read: dict[int, Any] = {}
        ours: list[int | None] = [None, None, None]
        theirs: list[int] = []
        opened: list[int] = []
        for number, wanted in enumerate((stdin, stdout, stderr)):
            if wanted == PIPE:
                ends = os.pipe()
                ours[number], their_end = (ends[1], ends[0]) if number == 0 else ends
                opened.append(their_end)
            elif wanted == DEVNULL:
                opened.append(their_end := os.open(os.devnull, os.O_RDWR))
            elif wanted == STDOUT:
                their_end = theirs[1]
            elif wanted is None:
                their_end = number
            else:
                their_end = wanted if isinstance(wanted, int) else wanted.fileno()
            theirs.append(their_end)
        request = {
            "words": self.args,
            "folder": str(cwd or Path.cwd()),
            "environ": dict(os.environ if env is None else env),
            "new_session": start_new_session,
            "finalize": finalize,
            "own_imports": own_imports,
            "executable": str(shared_shim()) if fork_children else sys.executable,
            "numbers": [0, 1, 2, *pass_fds],
        }
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(str(start_server()))
        line = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(self._server, [line], [*theirs, *pass_fds])
        if sent < len(line):  # `sendall` would send nothing, too, and fail if the program has ended by now
            self._server.sendall(line[sent:])
        for fd in opened:
            os.close(fd)
        self._answers = self._server.makefile("rb")
        self.pid = int(self._answers.readline())
        self.stdin, self.stdout, self.stderr = (
            None if fd is None else os.fdopen(fd, mode + ("" if text else "b"))
            for fd, mode in zip(ours, "wrr", strict=True)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for stream in (self.stdout, self.stderr, self.stdin):
            if stream:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit status, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended. Return the exit status; minus the number of the signal that killed it."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._server, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._server.close()
        return self.returncode

    def communicate(self, text: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """Write `text`, read everything, and wait. Return what it has written to its output and to its errors."""
        end = None if timeout is None else time.monotonic() + timeout
        read = self._read

        def read_all(number: int, stream: IO[Any]) -> None:
            read[number] = stream.read()

        streams = {
            number: stream for number, stream in ((1, self.stdout), (2, self.stderr)) if stream and not stream.closed
        }
        threads = [threading.Thread(target=read_all, args=each, daemon=True) for each in streams.items()]
        for thread in threads:
            thread.start()
        if self.stdin and not self.stdin.closed:
            try:
                if text:
                    self.stdin.write(text)
                self.stdin.close()
            except BrokenPipeError:
                pass
        for thread in threads:
            thread.join(None if end is None else max(0, end - time.monotonic()))
            if thread.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.wait(None if end is None else max(0, end - time.monotonic()))
        for stream in streams.values():
            stream.close()
        return read.get(1), read.get(2)

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def run(
    words: Sequence[str | Path], *, stdin: Any = None, timeout: float | None = 60, **options: Any
) -> subprocess.CompletedProcess[Any]:
    """Run a program to its end with `stdin` as its input, as `subprocess.run` does with `capture_output`."""
    program = Program(words, stdin=DEVNULL if stdin is None else PIPE, stdout=PIPE, stderr=PIPE, **options)
    try:
        out, err = program.communicate(stdin, timeout)
    finally:
        program.kill()
        program.wait()  # or its socket is left to the garbage collector, and to the test that runs then
    assert program.returncode is not None
    return subprocess.CompletedProcess(program.args, program.returncode, out, err)
