"""`oppman.py db`: the tables, their indexes, and backups of the database wherever they are."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.options import JsonOption, YesOption
from fastopp.console.output import command, confirm, emit_json, print_table, say
from fastopp.console.project import load_project
from fastopp.features.database.index_command import indexes
from fastopp.features.database_backups.dump.backup_file import SUFFIX, write_file
from fastopp.features.database_backups.local import FOLDER, make_tables, restore_file
from fastopp.features.database_backups.stored import (
    NoSuchBackup,
    is_backup,
    prune_backups,
    stored_backups,
    surplus_backups,
)
from fastopp.features.monitor.commands import slow
from fastopp.settings import Settings
from fastopp.settings.database_url import DatabaseURL
from fastopp.storage.base import FileMissing
from fastopp.storage.select import backup_storage

app = typer.Typer(
    help="Create or update the tables, like `migrate upgrade`. Subcommands manage backups and indexes.",
    no_args_is_help=False,
)
app.command("indexes")(indexes)
app.command("slow")(slow)


@app.callback(invoke_without_command=True)
@command
async def default(context: typer.Context, *, yes: YesOption = False) -> None:
    """Create or update the tables, like `migrate upgrade`. Subcommands manage backups and indexes."""
    if context.invoked_subcommand is None:
        await make_tables(yes=yes)


@app.command("backups")
@command
async def backups(*, as_json: JsonOption = False) -> None:
    """List the backups of the database, newest first: on this machine, and in the Object Storage if there is one."""
    settings = load_project().settings
    found = [
        {"where": "here", "name": str(path), "bytes": size, "modified": modified}
        for path, size, modified in await asyncio.to_thread(_local_backups, settings.database)
    ]
    if settings.has_object_storage:
        found += [
            {"where": "Object Storage", "name": file.key, "bytes": file.size, "modified": file.modified}
            for file in await stored_backups(backup_storage(settings))
        ]
    if as_json:
        emit_json([entry | {"modified": entry["modified"].isoformat()} for entry in found])  # type: ignore[attr-defined] # a datetime
    elif not found:
        say("There are no backups.")
    else:
        rows = [[f"{entry['where']}", f"{entry['name']}", f"{entry['bytes']:,}", f"{entry['modified']:%Y-%m-%d %H:%M}"]
                for entry in found]  # fmt: skip
        print_table(["Where", "Name", "Bytes", "Time (UTC)"], rows)


@app.command("restore")
@command
async def restore(
    key: Annotated[str, typer.Argument(help="A key in the Object Storage, or a file, as `db backups` lists them.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace existing rows.")] = False,
    yes: YesOption = False,
) -> None:
    """Restore a backup into an empty database, from a file or by its key in the Object Storage."""
    project = load_project()
    if await asyncio.to_thread(Path(key).is_file):
        await restore_file(project, Path(key), force=force, yes=yes)
        return
    with tempfile.TemporaryDirectory(prefix="fastopp-backup-") as folder:
        path = Path(folder) / "database"
        await _fetch(project.settings, key, path)
        await restore_file(project, path, name=key, force=force, yes=yes)


@app.command("prune")
@command
async def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="How many of the newest to keep.")],
    *,
    yes: YesOption = False,
) -> None:
    """Delete old backups from the Object Storage, after listing them. Keeps those on this machine."""
    storage = backup_storage(load_project().settings)
    surplus = await surplus_backups(storage, keep)
    for key in surplus:
        say(f"to delete  {key}", style="yellow")
    if surplus:
        confirm(f"Delete {len(surplus):,} backup(s) of the database?", yes=yes)
        surplus = await prune_backups(storage, keep)
    say(f"{len(surplus):,} backup(s) deleted.")


async def _fetch(settings: Settings, key: str, path: Path) -> None:
    if not is_backup(key):
        raise NoSuchBackup(f"“{key}” is neither a file here nor the key of a backup.")
    try:
        await write_file(path, backup_storage(settings).stream(key))
    except FileMissing:
        raise NoSuchBackup from None


def _local_backups(url: DatabaseURL) -> list[tuple[Path, int, datetime]]:
    """Return the files that `backup` made here, newest first: portable files, and copies next to a SQLite database."""
    paths = [*FOLDER.glob(f"*{SUFFIX}*")]
    if url.backend == "sqlite" and url.database:
        database = Path(url.database)
        paths += database.parent.glob(f"{database.name}.[0-9]*_[0-9]*")
    found = [(path, path.stat()) for path in paths]
    dated = [(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)) for path, status in found]
    return sorted(dated, key=lambda entry: entry[2], reverse=True)
