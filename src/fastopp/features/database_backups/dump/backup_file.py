"""Backups as files on this machine: complete or not there at all, and readable by their owner only."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from fastopp.database.framework_tables import ALERT_TABLES, ERROR_TABLES, MAILS, MONITOR_TABLES
from fastopp.errors import FastOppError
from fastopp.features.database_backups.dump.schema import EVIDENCE
from fastopp.storage.disk import flush_folder
from fastopp.storage.sync.lock import try_lock

SUFFIX = ".fastopp.gz"
ENCRYPTED_SUFFIX = ".fastopp.gz.enc"
SQLITE_MAGIC = b"SQLite format 3\0"  # https://www.sqlite.org/fileformat2.html#magic_header_string

_PIECE = 256 * 1024  # bytes
_PARTIAL = ".fastopp-backup-"
_SQLITES_OWN = ("-journal", "-wal", "-shm")  # which SQLite puts beside a database


class BackupNotWritten(FastOppError):
    """The backup cannot be written."""


class BackupNotRead(FastOppError):
    """The backup cannot be read."""


def time_stamp() -> str:
    """The present moment in UTC, as part of a file's name."""
    return datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")


def copy_sqlite(database: Path) -> Path:
    """Copy a SQLite database with its own backup interface, to `<name>.<UTC time>`; complete or not there at all.

    Raises BackupNotWritten.
    """
    target = database.with_name(f"{database.name}.{time_stamp()}")
    try:
        remove_partial(target.parent)
        with _partial(target.parent) as (_, partial):
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(partial)) as copy:
                source.backup(copy)
                _forget_short_lived(copy)
            partial.replace(target)
    except (OSError, sqlite3.Error) as error:
        raise BackupNotWritten(f"{target} cannot be written: {error}.") from error
    return target


def _forget_short_lived(copy: sqlite3.Connection) -> None:
    """Remove what does not belong into a copy that is kept.

    Files that are garbage may be in use by the time the copy is used. Bodies of mails are kept for a day only.
    Figures, errors and alerts are about processes, not about this site's data.
    """
    for table in (EVIDENCE, MAILS, *MONITOR_TABLES, *ERROR_TABLES, *ALERT_TABLES):
        if copy.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            with copy:
                copy.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names


async def write_file(target: Path, chunks: AsyncIterable[bytes]) -> int:
    """Write a stream to a file, in place of any that is there; how many bytes. Raises BackupNotWritten."""
    try:
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(remove_partial, target.parent)
        # Not in a thread: who is cancelled meanwhile would leave the file behind.
        with _partial(target.parent) as (file, partial):
            async for chunk in chunks:
                await asyncio.to_thread(file.write, chunk)
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
            size = file.tell()
            await asyncio.to_thread(partial.replace, target)
        await asyncio.to_thread(flush_folder, str(target.parent))
    except OSError as error:
        raise BackupNotWritten(f"{target} cannot be written: {error.strerror}.") from error
    return size


def remove_partial(folder: Path) -> None:
    """Remove the unfinished backups of processes that were killed. Those that are being written are locked.

    Where there are no locks, unfinished backups stay.
    """
    for path in folder.glob(f"{_PARTIAL}*"):
        if path.name.endswith(_SQLITES_OWN):
            continue
        with suppress(OSError), path.open("rb") as file:
            if try_lock(file.fileno()):
                for each in (path, *(path.with_name(path.name + suffix) for suffix in _SQLITES_OWN)):
                    each.unlink(missing_ok=True)


@contextmanager
def _partial(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A hidden file for the owner alone, since a dump holds every password's hash; removed unless it was renamed."""
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=_PARTIAL)
    path = Path(name)
    with os.fdopen(descriptor, "wb") as file:
        try_lock(file.fileno())
        try:
            yield file, path
        finally:
            path.unlink(missing_ok=True)


async def read_file(path: Path) -> AsyncGenerator[bytes]:
    """The file, piece by piece. Raises BackupNotRead."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
        with file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
    except OSError as error:
        raise BackupNotRead(f"{path} cannot be read: {error.strerror}.") from error


def is_sqlite(path: Path) -> bool:
    """Return whether the file is a SQLite database. Raises BackupNotRead."""
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE_MAGIC)) == SQLITE_MAGIC
    except OSError as error:
        raise BackupNotRead(f"{path} cannot be read: {error.strerror}.") from error
