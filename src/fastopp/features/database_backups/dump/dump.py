"""A portable dump of a whole database, through the driver: no `pg_dump`, no shell, and the same file for both kinds.

Everything comes from one moment. On PostgreSQL that is a read-only transaction that is REPEATABLE READ, which works
behind a transaction pooler; on SQLite a read transaction, which in WAL mode blocks no other. Rows are streamed, so
memory does not grow with them.

Every table is dumped, those too that neither a model nor a migration knows, but for the queue of tasks: a job that
waits in two databases would be done twice. Computed columns are not, since the database computes them again; views,
triggers, and counters of sequences are what migrations make.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.database.engine import create_engine, in_autocommit
from fastopp.database.migrations.adopt import VERSION_TABLE
from fastopp.database.migrations.snapshot import quote
from fastopp.features.database_backups.dump.errors import DumpFailed
from fastopp.features.database_backups.dump.format import DumpedTable, DumpHeader, DumpWriter
from fastopp.features.database_backups.dump.schema import Table, read_schema
from fastopp.features.database_backups.dump.values import from_postgresql, from_sqlite
from fastopp.settings.database_url import DatabaseURL

ROWS = 500  # fetched at a time: one round trip each

CONNECT_TIMEOUT = 10.0  # seconds
STATEMENT_TIMEOUT = 600.0  # seconds, for sorting a big table

# As texts, values are the same through every driver, and types that no driver knows are no exception. Each setting is
# for this transaction alone.
POSTGRESQL_TEXT = text("""
SELECT set_config('datestyle', 'ISO, YMD', true), set_config('timezone', 'UTC', true),
set_config('intervalstyle', 'iso_8601', true), set_config('bytea_output', 'hex', true),
set_config('extra_float_digits', '1', true), set_config('statement_timeout', :limit, true)
""")


class DatabaseDump:
    """A dump in the making. Iterate over `chunks()` once; afterwards `rows` and `revision` say what is in it.

    Parameters
    ----------
    url: the database. The dump opens a separate connection.
    metadata: the models' tables, which distinguish a UUID from a text on SQLite.
    """

    def __init__(self, url: DatabaseURL, metadata: MetaData | None = None) -> None:
        self.revision: str | None = None
        """The migration that the database is at."""
        self._url = url
        self._metadata = metadata
        self._writer = DumpWriter()

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each table that are in the dump so far."""
        return self._writer.rows

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The file, piece by piece. Raises DatabaseUnavailable, DumpFailed."""
        try:
            async with _snapshot(self._url) as connection:
                tables, self.revision = await connection.run_sync(self._look)
                writer = self._writer
                yield writer.begin(self._header(tables))
                for table in tables:
                    yield writer.begin_table(table.name)
                    async with aclosing(_read_rows(connection, table)) as pieces:
                        async for rows in pieces:
                            yield await asyncio.to_thread(writer.write_rows, rows)
                yield writer.finish()
        except DBAPIError as error:
            reason = str(error.orig).partition("\n")[0]
            raise DumpFailed(f"The database cannot be dumped: {reason}") from error

    def _look(self, connection: Connection) -> tuple[list[Table], str | None]:
        tables = [table for name, table in read_schema(connection, self._metadata).items() if table.columns]
        return tables, read_revision(connection)

    def _header(self, tables: Sequence[Table]) -> DumpHeader:
        return DumpHeader(
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            source=self._url.backend,
            revision=self.revision,
            tables=tuple(
                DumpedTable(table.name, tuple((column.name, column.kind) for column in table.columns))
                for table in tables
            ),
        )


def read_revision(connection: Connection) -> str | None:
    """The migration that the database is at, asked for in a transaction; None when it was never migrated."""
    if not connection.dialect.has_table(connection, VERSION_TABLE):
        return None
    found: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - our own name
    return found


@asynccontextmanager
async def _snapshot(url: DatabaseURL) -> AsyncIterator[AsyncConnection]:
    """A connection that sees the database as it is now, until it is closed."""
    engine = create_engine(
        url, pool_size=1, max_overflow=0, timeout=CONNECT_TIMEOUT, statement_timeout=STATEMENT_TIMEOUT
    )
    try:
        if url.backend == "sqlite":
            async with in_autocommit(engine).connect() as connection:
                await connection.exec_driver_sql("BEGIN")  # deferred: it only reads, and blocks no other
                yield connection
            return
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            await connection.execute(POSTGRESQL_TEXT, {"limit": f"{STATEMENT_TIMEOUT * 1000:.0f}"})
            yield connection
    finally:
        await engine.dispose()


async def _read_rows(connection: AsyncConnection, table: Table) -> AsyncGenerator[list[list[Any]]]:
    postgresql = connection.dialect.name == "postgresql"
    statement = await connection.run_sync(lambda sync: _select(sync, table, postgresql=postgresql))
    # What a column needs done, by its place: most values are in the dump as the driver gives them.
    conversions = [
        (index, convert)
        for index, column in enumerate(table.columns)
        if (convert := from_postgresql(column.kind) if postgresql else from_sqlite(column.kind, column.scale))
    ]
    # `yield_per` makes it a cursor of the server's.
    async with connection.stream(text(statement), execution_options={"yield_per": ROWS}) as result:
        async for rows in result.partitions(ROWS):
            yield await asyncio.to_thread(_convert, rows, conversions)


def _convert(rows: Sequence[Sequence[Any]], conversions: list[tuple[int, Callable[[Any], Any]]]) -> list[list[Any]]:
    converted = [list(row) for row in rows]
    for row in converted:
        for index, convert in conversions:
            if row[index] is not None:
                row[index] = convert(row[index])
    return converted


def _select(connection: Connection, table: Table, *, postgresql: bool) -> str:
    # With the table's alias, as ORDER BY would otherwise take the texts of the result.
    names = {column.name: f"dumped.{quote(column.name)}" for column in table.columns}
    columns = [f"CAST({name} AS text)" if postgresql else name for name in names.values()]
    # Texts by their bytes, as SQLite does; a language's order is a server's own.
    order = [
        names[column.name] + (' COLLATE "C"' if postgresql and column.kind == "text" else "")
        for column in table.columns
        if column.name in table.primary_key
    ]
    # Without the rows of tables that inherit from it or are its partitions: those are dumped by themselves.
    only = "ONLY " if postgresql else ""
    query = f"SELECT {', '.join(columns)} FROM {only}{quote(table.name)} AS dumped"  # noqa: S608 - names are quoted
    return f"{query} ORDER BY {', '.join(order)}" if order else query
