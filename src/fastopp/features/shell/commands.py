"""Python and SQL with the project at hand."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.output import command, fail, plain_command
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.settings.child_environment import machine_environment
from fastopp.settings.database_url import DatabaseURL

BANNER = (
    "Models by name, session, settings, runtime and select are here; `await` works.\n"
    "`await session.commit()` keeps changes; leaving without it discards them."
)


@plain_command
def shell() -> None:
    """Open Python with the models, a session and the settings at hand. `await` works."""
    from fastopp.features.shell.console import AwaitingConsole, project_names  # noqa: PLC0415 - imports every model's ORM

    project = load_project()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opening = open_runtime(project.settings, project.apps, title=project.title)
        runtime = runner.run(stack.enter_async_context(opening))
        session = runner.run(stack.enter_async_context(runtime.database.transaction()))
        try:
            AwaitingConsole(project_names(runtime, session), runner).interact(BANNER, "")
        finally:
            runner.run(session.rollback())
            runner.run(stack.aclose())


@command
async def run(
    script: Annotated[Path, typer.Argument(help="A Python file.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="What it finds in sys.argv.")] = None,
) -> None:
    """Run a Python file with the names of `shell`, in one transaction that is committed at its end."""
    from fastopp.features.shell.console import project_names, run_source  # noqa: PLC0415 - as above

    try:
        source = await asyncio.to_thread(script.read_text, encoding="utf-8")
    except OSError as error:
        fail(f"{script} cannot be read: {error.strerror}. Pass the path of a Python file.")
    project = load_project()
    async with (
        open_runtime(project.settings, project.apps, title=project.title) as runtime,
        runtime.database.transaction() as session,
    ):
        sys.argv = [str(script), *(arguments or [])]
        names = project_names(runtime, session) | {"__name__": "__main__", "__file__": str(script)}
        await run_source(source, str(script), names)


@plain_command
def dbshell() -> None:
    """Open the database's own shell: sqlite3 or psql, whichever fits DATABASE_URL."""
    url = load_project().settings.database
    program, arguments, environment = database_client(url)
    path = shutil.which(program)
    if path is None:
        fail(
            f"{program} is not installed. Install it (`apt install {_PACKAGES[program]}`), "
            "or use `python oppman.py shell`."
        )
    done = subprocess.run([path, *arguments], env=_client_environment() | environment, check=False)  # noqa: S603 - a client, and our own URL
    raise typer.Exit(done.returncode)


def _client_environment() -> dict[str, str]:
    return machine_environment("PG", "PSQL", names=("EDITOR", "LESS", "PAGER", "VISUAL"))


_PACKAGES = {"sqlite3": "sqlite3", "psql": "postgresql-client"}


def database_client(url: DatabaseURL) -> tuple[str, list[str], dict[str, str]]:
    """Return the program for a database, its arguments, and the variables that keep the password out of them."""
    if url.backend == "sqlite":
        return "sqlite3", [str(url.database)], {}
    password = url.password
    return "psql", [replace(url, secret=None).plain], {"PGPASSWORD": password} if password else {}
