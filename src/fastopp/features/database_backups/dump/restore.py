"""Bring a dump back, into a database of either kind: all of it or nothing.

Migrating to the dump's migration, removing what was there and writing the rows is one transaction, the same that
migrations run in. A dump that turns out to be damaged at its very end has changed nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.database.migrations.adopt import adopt
from fastopp.database.migrations.alembic_project import Project
from fastopp.database.migrations.errors import DataWouldBeLost, UnknownRevision
from fastopp.database.migrations.lock import alembic_alone, migration_transaction, timed_out
from fastopp.database.migrations.losses import run_keeping_data
from fastopp.database.migrations.revisions import ancestors, find_migrations
from fastopp.database.migrations.snapshot import quote
from fastopp.features.database_backups.dump.dump import POSTGRESQL_TEXT
from fastopp.features.database_backups.dump.encryption import MAGIC as ENCRYPTED_MAGIC
from fastopp.features.database_backups.dump.encryption import NotEncrypted, decrypt
from fastopp.features.database_backups.dump.end_sessions import end_sessions
from fastopp.features.database_backups.dump.errors import BadDump, DatabaseNotEmpty, RestoreFailed
from fastopp.features.database_backups.dump.format import GZIP_MAGIC, DumpedTable, DumpHeader, DumpReader
from fastopp.features.database_backups.dump.refusals import refuses_value
from fastopp.features.database_backups.dump.restore_rows import (
    Insert,
    advance_sequences,
    check_now,
    checked_at_the_end,
    defer,
)
from fastopp.features.database_backups.dump.schema import EVIDENCE, read_schema
from fastopp.settings.database_url import DatabaseURL

DEFAULT_TIMEOUT = 3600.0  # seconds; a restore in a terminal is watched


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore."""

    revision: str
    """The migration that the database is at now: the dump's."""
    rows: dict[str, int]
    """Rows of each table that was restored."""
    skipped: dict[str, int]
    """Rows of each table of the dump that the database has no place for: no migration makes it."""
    ended_sessions: int = 0
    """Sessions and API tokens of the dump, which are not restored."""


async def restore(
    url: DatabaseURL,
    chunks: AsyncIterable[bytes],
    *,
    secrets: Sequence[str] = (),
    plain: bool = True,
    force: bool = False,
    metadata: MetaData | None = None,
    timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - it bounds the server's work as well
    folder: Path | None = None,
) -> Restored:
    """Restore a dump, plain or encrypted, into an empty database; into any with `force`, which removes its rows first.

    Parameters
    ----------
    url: the database. The restore opens a separate connection.
    chunks: the file.
    secrets: the keys to try when it is encrypted.
    plain: whether to take a dump that is not encrypted. Anyone can write one of those, with new accounts.
    metadata: the models' tables: with the dump's, they are those that must be empty, or are emptied. Others are
        left alone.
    timeout: seconds for everything.
    folder: the project's `alembic` folder, found by itself.

    Raises
    ------
    BadDump, NotEncrypted, WrongKey, Damaged, DatabaseNotEmpty, UnknownRevision, ValueDoesNotFit, RestoreFailed,
    MigrationError, MigrationTimeout, DatabaseUnavailable: nothing was changed.
    """
    project = await asyncio.to_thread(lambda: Project.open(find_migrations(folder)))
    reader = DumpReader()
    pieces = _read(reader, chunks, secrets, plain=plain)
    try:
        header, first = await _begin(reader, pieces)
        revision = header.revision
        if revision is None or revision not in project.revisions:
            raise UnknownRevision(
                f"The dump is of a database at migration {revision!r}, which this project does not have.",
                hint="Restore it with the project's code of that time, or migrate that database and dump it again.",
            )
        async with alembic_alone(timeout), _transaction(url, timeout) as connection:
            await connection.run_sync(_make_room, header, metadata, force)
            await connection.run_sync(_migrate, project, revision)
            rows = await _write(connection, header, first, pieces, metadata, timeout)
            counted = reader.finish()
            await connection.run_sync(advance_sequences, tuple(rows))
            ended = await connection.run_sync(end_sessions)
    finally:
        await pieces.aclose()
    skipped = {name: count for name, count in counted.items() if name not in rows}
    return Restored(revision, rows, skipped, ended)


_Piece = tuple[DumpedTable, list[list[Any]]]


async def _read(
    reader: DumpReader, chunks: AsyncIterable[bytes], secrets: Sequence[str], *, plain: bool
) -> AsyncGenerator[list[_Piece]]:
    """Yield the parts that each piece of the file completes."""
    iterator = aiter(chunks)
    start = b""
    async for chunk in iterator:
        start += chunk
        if len(start) >= len(ENCRYPTED_MAGIC):
            break

    async def whole() -> AsyncGenerator[bytes]:
        yield start
        async for chunk in iterator:
            yield chunk

    if start.startswith(ENCRYPTED_MAGIC):
        opened = decrypt(whole(), secrets)
    elif not plain:
        raise NotEncrypted
    elif start.startswith(GZIP_MAGIC):
        opened = whole()
    else:
        raise BadDump
    async for data in opened:
        found = reader.read(data)
        # One by one: rows that are alike pack well, and a small piece of the file may hold very many.
        while (rows := await asyncio.to_thread(next, found, None)) is not None:
            yield [rows]
        yield []  # the header may be there now


async def _begin(reader: DumpReader, pieces: AsyncGenerator[list[_Piece]]) -> tuple[DumpHeader, list[_Piece]]:
    """Read until the header is there; it, and the rows that came with it."""
    async for found in pieces:
        if reader.header is not None:
            return reader.header, found
    raise BadDump("The file ends too early: a part of the dump is missing.")


@asynccontextmanager
async def _transaction(url: DatabaseURL, timeout: float) -> AsyncGenerator[AsyncConnection]:  # noqa: ASYNC109 - as above
    async with migration_transaction(url, timeout) as connection:
        try:
            yield connection
        except DBAPIError as error:
            if timed_out(error.orig):
                raise
            raise _refused(error) from error


def _make_room(connection: Connection, header: DumpHeader, metadata: MetaData | None, force: bool) -> None:  # noqa: FBT001 - `run_sync` passes by position
    """See that the tables which matter are empty, or empty them."""
    wanted = {table.name for table in header.tables} | set(metadata.tables if metadata is not None else ())
    tables = {name: table for name, table in read_schema(connection).items() if name in wanted}
    if tables and connection.dialect.name == "postgresql":
        # Readers go on; who wants to write waits for the end.
        names = ", ".join(quote(name) for name in tables)
        connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    full = [name for name in tables if connection.scalar(_any_row(connection, name))]
    if full and not force:
        raise DatabaseNotEmpty(f"The database has rows already: in {', '.join(full)}. Nothing was changed.")
    with checked_at_the_end(connection, tables, list(tables)):
        for name in reversed(full):
            connection.execute(text(f"DELETE FROM {quote(name)}"))  # noqa: S608 - the name is quoted
    if connection.dialect.has_table(connection, EVIDENCE):
        # The restored rows may name files that the current ones discarded.
        connection.execute(text(f"DELETE FROM {EVIDENCE}"))  # noqa: S608 - our own name


def _any_row(connection: Connection, table: str) -> Any:  # noqa: ANN401 - a statement
    return text(f"SELECT EXISTS (SELECT 1 FROM {quote(table)})")  # noqa: S608 - the name is quoted


def _migrate(connection: Connection, project: Project, revision: str) -> None:
    """Bring the tables to the dump's migration, upwards or (they are empty) downwards."""

    adopt(connection, project.revisions)
    applied = project.applied(connection)
    if revision in applied:
        return
    move = project.downgrade if revision in ancestors(project.revisions, applied) else project.upgrade
    try:
        # Tables that neither the dump nor the models know were not emptied.
        run_keeping_data(connection, lambda: move(connection, revision, lambda _step: None))
    except DataWouldBeLost as error:
        error.hint = "The tables are those of another migration. Restore into an empty database."
        raise


async def _write(
    connection: AsyncConnection,
    header: DumpHeader,
    first: list[_Piece],
    pieces: AsyncGenerator[list[_Piece]],
    metadata: MetaData | None,
    timeout: float,  # noqa: ASYNC109 - the server's
) -> dict[str, int]:
    """Write the rows of every table that the database has; how many of each."""
    if connection.dialect.name == "postgresql":
        await connection.execute(POSTGRESQL_TEXT, {"limit": f"{timeout * 1000:.0f}"})
    tables = await connection.run_sync(read_schema, metadata)
    inserts = {
        dumped.name: await connection.run_sync(Insert, tables[dumped.name], dumped)
        for dumped in header.tables
        if dumped.name in tables
    }
    written = dict.fromkeys(inserts, 0)
    deferred = await connection.run_sync(defer, tables, list(inserts))
    # PostgreSQL runs nothing after an error until the savepoint is restored.
    before = await connection.begin_nested() if connection.dialect.name == "postgresql" else None
    found: list[_Piece] | None = first
    while found is not None:
        for table, rows in found:
            if table.name in inserts:
                try:
                    await connection.run_sync(inserts[table.name].run, rows)
                except DBAPIError as error:
                    if timed_out(error.orig):
                        raise
                    if before and refuses_value(error):
                        await before.rollback()
                        await connection.run_sync(inserts[table.name].explain, rows)
                    raise _refused(error, f" in the table {table.name}") from error
                written[table.name] += len(rows)
        found = await anext(pieces, None)
    if before:
        await before.commit()
    await connection.run_sync(check_now, deferred)
    return written


def _refused(error: DBAPIError, where: str = "") -> RestoreFailed:
    # The first line says what; the lines after it may quote rows.
    reason = str(error.orig).partition("\n")[0]
    return RestoreFailed(
        f"The database refused the data in the dump{where}, and nothing was changed. It said: {reason}"
    )
