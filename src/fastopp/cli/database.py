"""Commands about the database as a whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from fastopp.cli.console import command, confirm, fail, plain_command, say
from fastopp.cli.oppdemo import YesOption
from fastopp.cli.project import load_project
from fastopp.errors import FastOppError
from fastopp.runtime import open_runtime
from fastopp.seeding import migrate_database


class NotAFile(FastOppError):
    """The database of this project is not a SQLite file."""

    hint = "A PostgreSQL database is backed up and deleted at your provider."


@command
async def db() -> None:
    """Make the tables, or bring them up to date: the same as `migrate upgrade`."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        outcome = await migrate_database(runtime)
    say(outcome.message)


@plain_command
def backup() -> None:
    """Copy the SQLite database to a file beside it, safely while it is in use."""
    say(f"The backup is {back_up(_database_file())}.")


@plain_command
def delete(*, yes: YesOption = False) -> None:
    """Delete the SQLite database after making a backup. Migrations stay."""
    database = _database_file()
    confirm(f"Delete {database}? A backup is made first.", yes=yes)
    say(f"The backup is {back_up(database)}.")
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    say(f"{database} is deleted. `python oppman.py db` makes an empty one.")


def back_up(database: Path) -> Path:
    """Copy a SQLite database with its own backup interface, to `<name>.<UTC time>`; complete or not there at all."""
    target = database.with_name(f"{database.name}.{datetime.now(UTC).strftime('%Y%m%d_%H%M%S_%f')}")
    partial = target.with_name(f".{target.name}.partial")
    try:
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _database_file() -> Path:
    url = load_project().settings.database
    if url.backend != "sqlite" or url.database is None:
        raise NotAFile
    path = Path(url.database)
    if not path.is_file():
        fail(f"There is no database at {path}.")
    return path
