"""Commands that serve the project."""

from __future__ import annotations

import asyncio
import compileall
import errno
import os
import re
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import fastopp
from fastopp import logs
from fastopp.console.main_file import find_project_apps, project_settings
from fastopp.console.output import complain, fail, plain_command, say
from fastopp.console.project import load_project
from fastopp.errors import Conflict
from fastopp.settings import load_settings, read_variables
from fastopp.settings.names import misspelled

try:
    import fcntl
except ImportError:  # Windows has none; there a server that was killed looks as if it ran
    fcntl = None  # type: ignore[assignment] # checked before it is used

PRODUCTION_HOST = "0.0.0.0"  # noqa: S104 - a server behind a platform's proxy listens on every address
STOP_PATIENCE = 30  # seconds a server gets to finish its requests, or a worker of it to start and hear of it

# Folders that the installer has compiled, or that nothing is imported from.
NOT_OURS = re.compile(r"/(\.|node_modules/|site-packages/|backups/)")

HostOption = Annotated[str | None, typer.Option(help="Address to listen on. Default: HOST.")]
PortOption = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on. Default: PORT.")]


@plain_command
def runserver(
    host: HostOption = None,
    port: PortOption = None,
    *,
    reload: Annotated[bool, typer.Option(help="Restart when a file changes.")] = True,
) -> None:
    """Serve the project on this machine, and restart when a file changes."""
    import uvicorn  # noqa: PLC0415 - 140 ms that the other commands do not need

    from fastopp.cli.http_protocol import HeaderTimeoutProtocol  # noqa: PLC0415 - as above
    from fastopp.features.css.watching import css_kept_up_to_date  # noqa: PLC0415 - as above

    settings = load_project().settings
    host, port = host or settings.host, port or settings.port
    _check_port(host, port)
    shown = f"[{host}]" if ":" in host else host
    say(f"FastOpp is at http://{shown}:{port}")
    for name, meant in misspelled(read_variables()[0], project_settings()).items():
        say(f"{name} is not a setting. Did you mean {meant}?", style="yellow")
    if settings.development:
        say("The first superuser is admin@example.com with admin123; python oppman.py list_users lists all accounts.")
    with _pid_file(), css_kept_up_to_date(Path.cwd()) if reload else nullcontext():
        uvicorn.run(
            "main:app",
            host=host,
            port=port,
            http=HeaderTimeoutProtocol,
            reload=reload,
            reload_dirs=["."] if reload else None,
        )


@plain_command
def production(
    host: HostOption = None,
    port: PortOption = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes to serve with.")] = 1,
    *,
    migrate: Annotated[bool, typer.Option("--migrate", help="Run pending migrations first, in this process.")] = False,
) -> None:
    """Serve the project as in production: no reload, on all addresses, with proxy headers."""
    import uvicorn  # noqa: PLC0415 - as above

    from fastopp.cli.http_protocol import HeaderTimeoutProtocol  # noqa: PLC0415 - as above

    settings = load_project().settings
    host, port = host or PRODUCTION_HOST, port or settings.port
    _check_port(host, port)
    if migrate:
        from fastopp.features.migrations.start import migrate_at_start  # noqa: PLC0415 - imports SQLAlchemy

        asyncio.run(migrate_at_start(settings, say))
    with _pid_file():
        log_config = logs.server_config(settings) or uvicorn.config.LOGGING_CONFIG
        uvicorn.run(
            "main:app", host=host, port=port, http=HeaderTimeoutProtocol, workers=workers, log_config=log_config
        )


def _check_port(host: str, port: int) -> None:
    """End the command if it cannot listen there: uvicorn would report it in fewer words, after printing the address."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: (f"Port {port} is in use by another process.", _TAKEN),
            errno.EACCES: (f"Port {port} needs root.", "Choose one from 1024 on with --port."),
        }
        message, hint = reasons.get(error.errno or 0, (f"{host} is not an address of this machine.", _NO_ADDRESS))
        fail(Conflict(message, hint=hint))


_TAKEN = (
    "If it is this project's server, stop it with `python oppman.py stopserver`. Or choose another port with --port."
)
_NO_ADDRESS = "Choose another with --host: 127.0.0.1 for this machine only, 0.0.0.0 for all addresses."


@plain_command
def compile_ahead() -> None:
    """Compile CSS, byte code and templates, for a build whose disk is read-only later."""
    from fastopp.core.assembly import assemble  # noqa: PLC0415 - imports FastAPI and everything else
    from fastopp.features.css.classes import needs_compiling  # noqa: PLC0415 - as above
    from fastopp.features.css.compiling import TailwindMissing, compile_project  # noqa: PLC0415 - as above

    # The apps are read from main.py and not from the application: a build may lack the settings of the service.
    apps = find_project_apps()
    if needs_compiling(Path.cwd(), apps):
        try:
            say(f"Compiled {compile_project(Path.cwd(), apps).relative_to(Path.cwd())}.")
        except TailwindMissing as missing:
            complain(missing)
    folders = [Path.cwd(), Path(fastopp.__file__).parent]
    if not all(compileall.compile_dir(folder, quiet=1, rx=NOT_OURS) for folder in folders):
        fail("Some files could not be compiled; the errors are above.")
    application, _ = assemble(load_settings({}), apps)
    count = application.state.templates.compile_all()
    say(f"Compiled byte code and {count} templates.")


@plain_command
def stopserver() -> None:
    """Stop the server that runserver or production started in this folder."""
    stopping = [path for path in Path().glob(_pid_path("*").name) if _tell_to_stop(path)]
    if not stopping:
        fail("No server started from this folder is running.")
    for _ in range(STOP_PATIENCE * 10):
        if not any(path.exists() for path in stopping):
            say("The server has stopped.")
            return
        time.sleep(0.1)
    fail(f"The server did not stop within {STOP_PATIENCE} seconds.")


def _tell_to_stop(path: Path) -> bool:
    """Send SIGTERM to the server that this file is of, and return whether it runs. Remove the file if it does not."""
    try:
        if _is_held(path):
            os.kill(int(path.name.split(".")[2]), signal.SIGTERM)
            return True
    except (ValueError, ProcessLookupError, FileNotFoundError):
        pass  # no file of ours, or the server has ended this moment
    path.unlink(missing_ok=True)
    return False


def _is_held(path: Path) -> bool:
    """Return whether a server holds the file locked. One that was killed leaves the file, whose number is reused."""
    if fcntl is None:
        return True
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _pid_path(pid: int | str) -> Path:
    """One for each server: a second one, which finds its port taken, must not hide the first."""
    return Path(f".server.{pid}.pid")


@contextmanager
def _pid_file() -> Generator[None]:
    """Remember the server's process while it runs, for `stopserver`: a file that it holds locked."""
    path = _pid_path(os.getpid())
    try:
        file = path.open("w")
    except OSError:
        yield  # a read-only folder: there is no shell to stop it from either
        return
    with file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        # uvicorn, having shut down, sends itself the signal again; the default action would end us before `unlink`.
        signal.signal(signal.SIGTERM, _exit)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _exit(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)  # what a shell reports of a process that ended by a signal
