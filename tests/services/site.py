"""The project as a stranger runs it: a copy of its files, its commands, and its server in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.services import forks

ROOT = Path(__file__).parents[2]
TEMPLATE = ("main.py", "oppman.py", "oppdemo.py", "demo", "alembic", "alembic.ini", "pyproject.toml", "LICENSE")
ACCOUNTS = {"admin@example.com": "admin123"}  # everybody else's password is test123
SECRET_KEY = "k3y-of-these-tests-0123456789-abcdefghijklmnop"
PATIENCE = 30  # seconds until a server listens, on a busy machine

_LISTENING = re.compile(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def copy_project(folder: Path) -> Path:
    """A project as `startproject` makes it: everything but the framework, which is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TEMPLATE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process gets: nothing of this machine's configuration, and warnings that are errors nowhere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}  # no test asks a package index
    return kept | {"PYTHONUNBUFFERED": "1"} | offline | dict(changes or {})


def start_command(
    project: Path, *words: str, environ: Mapping[str, str] | None = None, **options: Any
) -> forks.Program:
    """Start `python WORDS` in a project, without a terminal."""
    return forks.Program(
        words,
        cwd=project,
        env=environment(environ),
        stdin=options.pop("stdin", forks.DEVNULL),
        stdout=forks.PIPE,
        stderr=forks.PIPE,
        text=True,
        **options,
    )


def run_command(
    project: Path, *words: str, environ: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in a project, without a terminal, to its end.

    Two checks run commands of the project, and `adopt` migrates in another process: these are forked too, but not
    where a start is measured.
    """
    options = {"cwd": project, "env": environment(environ), "stdin": stdin, "timeout": timeout, "text": True}
    starts_commands = not {"check", "adopt"}.isdisjoint(words) and "--measure" not in words
    return forks.run(words, fork_children=starts_commands, **options)


def start_for_real(
    project: Path, *words: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` to its end in a new interpreter, which has imported nothing yet."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=environment(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def succeed(project: Path, *words: str, environ: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a command that must work; its output."""
    done = run_command(project, *words, environ=environ, stdin=stdin)
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


def account(email: str) -> dict[str, str]:
    """What somebody types into the sign-in form."""
    return {"username": email, "password": ACCOUNTS.get(email, "test123")}


class Site:
    """`uvicorn main:app` in a project.

    prefix: a program, with arguments, that runs the server in its turn.
    """

    def __init__(
        self, project: Path, environ: Mapping[str, str] | None = None, *, prefix: Sequence[str] = (), name: str = "site"
    ) -> None:
        self.project = project
        self.environ = dict(environ or {})
        self.prefix = prefix
        self.log_path = project.parent / f"{project.name}-{name}.log"
        self.log_path.write_text("")
        self.port = 0
        self.process: forks.Program | subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything that it has written."""
        return _COLOURS.sub("", self.log_path.read_text(errors="replace"))

    @property
    def upload_dir(self) -> Path:
        return self.project / self.environ.get("UPLOAD_DIR", "static/uploads")

    def start(self) -> None:
        """Start it, on the port it had before, and wait until it listens."""
        so_far = len(self.log)
        arguments = ["-m", "uvicorn", "main:app", "--port", str(self.port)]
        with self.log_path.open("ab") as log:
            options: dict[str, Any] = {"cwd": self.project, "env": environment(self.environ)}
            options |= {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            if self.prefix:
                self.process = subprocess.Popen([*self.prefix, sys.executable, *arguments], **options)
            else:
                self.process = forks.Program(arguments, **options)
        deadline = time.monotonic() + PATIENCE
        while not (found := _LISTENING.search(self.log, so_far)):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)
        self.port = int(found[1])

    def kill(self) -> None:
        """End it without a word of warning."""
        self.signal(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait(PATIENCE)

    def client(self, **options: Any) -> httpx.Client:
        """A caller that follows no redirects."""
        return httpx.Client(base_url=self.url, timeout=30, **options)

    @contextmanager
    def signed_in(
        self, email: str = "admin@example.com", *, password: str | None = None, **options: Any
    ) -> Iterator[httpx.Client]:
        """A browser's cookies, and the form token that its pages would send."""
        with self.client(**options) as client:
            answer = client.post("/login", data=account(email) | ({"password": password} if password else {}))
            assert answer.status_code == 302, answer.text
            client.headers["X-CSRF-Token"] = form_token_of(client)
            yield client

    def cookies(self, email: str = "admin@example.com") -> list[Any]:
        """What a browser has after it has signed in, as Playwright's `add_cookies` takes it."""
        with self.client() as client:
            answer = client.post("/login", data=account(email))
            assert answer.status_code == 302, answer.text
            return [{"name": each.name, "value": each.value, "url": self.url} for each in client.cookies.jar]


def form_token_of(client: httpx.Client, page: str = "/database-status") -> str:
    """The form token on a page."""
    answer = client.get(page, headers={"accept": "text/html"})
    found = re.search(r'name="csrf[-_]token" (?:content|value)="([^"]+)"', answer.text)
    assert found, answer.text
    return found[1]
