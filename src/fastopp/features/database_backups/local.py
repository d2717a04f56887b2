"""Commands about the database as a whole."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

import typer
from sqlmodel import SQLModel

from fastopp.console.options import YesOption
from fastopp.console.output import EXIT_MISUSED, command, confirm, fail, plain_command, say
from fastopp.console.project import Project, load_project
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.database.migrations import migrate
from fastopp.errors import FastOppError
from fastopp.features.database_backups.dump.backup_file import (
    ENCRYPTED_SUFFIX,
    SUFFIX,
    copy_sqlite,
    is_sqlite,
    read_file,
    time_stamp,
    write_file,
)
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.encryption import encrypt
from fastopp.features.database_backups.stored import prune_backups
from fastopp.features.migrations.dropping import confirming_drops
from fastopp.features.setup.seeding import migrate_database
from fastopp.settings.database_url import DatabaseURL

FOLDER = Path("backups/database")


class NotAFile(FastOppError):
    """The database of this project is not a SQLite file."""

    hint = "Delete a PostgreSQL database at your provider; `oppman.py backup` works with it."


async def make_tables(*, yes: bool) -> None:
    """Make the tables, or bring them up to date, and say so."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        outcome = await confirming_drops(lambda allow_drop: migrate_database(runtime, allow_drop=allow_drop), yes=yes)
    say(outcome.message)


@command
async def backup(
    file: Annotated[Path | None, typer.Argument(help="Where a portable backup goes.")] = None,
    *,
    encrypted: Annotated[bool, typer.Option("--encrypt", help="Encrypt it with BACKUP_KEY, or SECRET_KEY.")] = False,
    upload: Annotated[bool, typer.Option("--upload", help="Store it, encrypted, in the Object Storage.")] = False,
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=1, help="With --upload: how many of the newest to keep there."),
    ] = None,
) -> None:
    """Back up the database while it is in use, to a portable file, or to a copy next to a SQLite database."""
    if keep and not upload:
        fail("--keep is for backups in Object Storage: it goes with --upload.", status=EXIT_MISUSED)
    project = load_project()
    url = project.settings.database
    if url.backend == "sqlite":
        database = _existing_file(url)
        if not (file or encrypted or upload):
            say(f"The backup is {copy_sqlite(database)}.")
            return
    async with open_runtime(project.settings, project.apps) as runtime:
        if file or not upload:
            suffix = ENCRYPTED_SUFFIX if encrypted else SUFFIX
            await _write_backup(runtime, file or FOLDER / f"{time_stamp()}{suffix}", encrypted=encrypted)
        if upload:
            await _upload_backup(runtime, keep)


@command
async def restore(
    file: Annotated[Path, typer.Argument(help="A file made by `backup`: portable, or a copy of a SQLite database.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace existing rows.")] = False,
    yes: YesOption = False,
) -> None:
    """Restore a backup into an empty database, SQLite or PostgreSQL; either everything or nothing."""
    await restore_file(load_project(), file, force=force, yes=yes)


async def restore_file(project: Project, file: Path, *, name: str = "", force: bool, yes: bool) -> None:
    """Bring a backup back, and say what was done.

    Parameters
    ----------
    name: what people know it by, if that is not the file.
    """
    from fastopp.features.database_backups.dump.restore import restore as restore_dump  # noqa: PLC0415 - it imports Alembic

    url = project.settings.database
    from_sqlite = is_sqlite(file)
    if force:
        confirm(f"Replace every row in {url.masked} by what is in {name or file}?", yes=yes)
    for app in project.apps:
        app.load_models()
    source = read_file(file)
    if from_sqlite:
        file = await asyncio.to_thread(file.resolve)
        source = DatabaseDump(DatabaseURL.parse(f"sqlite:///{file}"), SQLModel.metadata).chunks()
    async with aclosing(source) as chunks:
        done = await restore_dump(
            url, chunks, secrets=project.settings.backup_keys, force=force, metadata=SQLModel.metadata
        )
    say(f"{_count(done.rows)} are restored.", style="green")
    if done.ended_sessions:
        say(f"{done.ended_sessions:,} session(s) and API token(s) have ended: sign in again, and create new tokens.")
    for table, count in done.skipped.items():
        say(f"{count:,} row(s) of {table} were left out: no migration creates that table here.", style="yellow")
    if await migrate.pending(project.settings):
        say(f"The database is at migration {done.revision}, as it was then. Next: python oppman.py migrate")


@plain_command
def delete(*, yes: YesOption = False) -> None:
    """Delete the SQLite database after making a backup. Keeps the migrations."""
    url = load_project().settings.database
    if url.backend != "sqlite":
        raise NotAFile
    database = _existing_file(url)
    confirm(f"Delete {database}? A backup is made first.", yes=yes)
    say(f"The backup is {copy_sqlite(database)}.")
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    say(f"{database} is deleted. `python oppman.py db` creates an empty one.")


async def _write_backup(runtime: Runtime, target: Path, *, encrypted: bool) -> None:
    dump = DatabaseDump(runtime.database.url, SQLModel.metadata)
    async with aclosing(dump.chunks()) as plain:
        size = await write_file(target, encrypt(plain, runtime.settings.backup_keys[0]) if encrypted else plain)
    say(f"The backup is {target}: {_count(dump.rows)}, {size:,} bytes.")
    if encrypted:
        _say_which_key(runtime)
    if dump.revision is None:
        say("The database was never migrated, so this backup cannot be restored.", style="yellow")


async def _upload_backup(runtime: Runtime, keep: int | None) -> None:
    from fastopp.features.database_backups.routes import object_storage, upload_backup  # noqa: PLC0415 - it imports FastAPI

    stored, dump = await upload_backup(runtime)
    say(f"The backup is {stored.key} in Object Storage: {_count(dump.rows)}, {stored.size:,} bytes, encrypted.")
    _say_which_key(runtime)
    if keep:
        say(f"{len(await prune_backups(object_storage(runtime), keep)):,} older backup(s) deleted.")


def _say_which_key(runtime: Runtime) -> None:
    if not runtime.settings.backup_key.get_secret_value():
        say("It can be read only with this machine's SECRET_KEY: keep that safe, or set BACKUP_KEY.", style="yellow")


def _count(rows: dict[str, int]) -> str:
    return f"{sum(rows.values()):,} row(s) of {len(rows)} table(s)"


def _existing_file(url: DatabaseURL) -> Path:
    path = Path(url.database or "")
    if not path.is_file():
        fail(f"There is no database at {path}.")
    return path
