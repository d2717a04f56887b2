"""Checks of migrations: written, committed, applied."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.checks.faults import project_faults
from fastopp.checks.own_process import run_oppman, trial_environment
from fastopp.database.migrations import migrate
from fastopp.platforms.local import LOCAL
from fastopp.settings.child_environment import GIT, machine_environment

VERSIONS = "alembic/versions"


@check(
    "fastopp.E121",
    "Models have changes without a migration",
    fix='Run `python oppman.py makemigrations "What changed"` and commit the file.',
    subject=Subject.MIGRATIONS,
)
async def models_without_migration(context: CheckContext) -> AsyncIterator[Problem]:
    """The deployed code would use columns that do not exist. All migrations are run on a new SQLite database, which is
    compared with the models."""
    if not (context.folder / "oppman.py").is_file():
        raise CannotCheck("There is no oppman.py here.")
    with tempfile.TemporaryDirectory(prefix="fastopp-check-") as folder:
        environ = trial_environment(Path(folder), platform=LOCAL.name, app_settings=context.app_settings)
        upgraded = await run_oppman(context.folder, "migrate", "upgrade", environ=environ)
        if upgraded.status:
            if project_faults(context):
                raise CannotCheck("The project cannot be imported: see fastopp.E501.")
            yield Problem(f"The migrations fail on a new database: {_last_line(upgraded.errors)}", "Fix the migration.")
            return
        compared = await run_oppman(context.folder, "migrate", "check", "--json", environ=environ)
    try:
        differences = json.loads(compared.output)["differences"]
    except ValueError as error:
        raise CannotCheck(f"The models could not be compared: {_last_line(compared.errors)}") from error
    for difference in differences:
        yield Problem(f"No migration has this: {difference}")


@check(
    "fastopp.W122",
    "A migration is not committed",
    fix="Run `git add alembic/versions` and commit.",
    subject=Subject.MIGRATIONS,
)
async def not_committed(context: CheckContext) -> AsyncIterator[Problem]:
    """Only committed files are deployed, so the tables would lack columns that the code needs."""
    if not (context.folder / ".git").exists() or not (context.folder / VERSIONS).is_dir():
        return
    try:
        process = await asyncio.create_subprocess_exec(
            "git", "-c", f"safe.directory={context.folder}", "status", "--porcelain", "--", VERSIONS,
            cwd=context.folder,
            env=machine_environment(*GIT),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise CannotCheck("git is not installed here.") from error
    output, _ = await process.communicate()
    for line in output.decode(errors="replace").splitlines():
        name = line[3:].strip('"')
        if name.endswith((".py", "/")):
            yield Problem(f"{name} is not committed as it is here.")


@check(
    "fastopp.E123",
    "The database lacks migrations",
    fix="Run `python oppman.py migrate`, or where there is no shell `POST /async/init-demo` (docs/database.md).",
    subject=Subject.MIGRATIONS,
    mode=Mode.LIVE,
)
async def not_applied(context: CheckContext) -> AsyncIterator[Problem]:
    """The code uses tables or columns that do not exist yet."""
    pending = await migrate.pending(context.database_settings, folder=context.folder / "alembic")
    if pending:
        yield Problem(f"The database lacks {', '.join(revision.id for revision in pending)}.")


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it says nothing."
