"""aiosqlite for SQLAlchemy, with one trip to the driver's thread a statement instead of four.

SQLAlchemy asks aiosqlite for a cursor, has it execute, fetches, and closes it: four times through a queue and back,
each dearer than a small query. Here the thread does all of it at once. Streamed results keep SQLAlchemy's own way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)
from sqlalchemy.util.concurrency import await_

CHUNK = 64  # rows a trip of a streamed result: aiosqlite's own default


def driver() -> AsyncAdapt_aiosqlite_dbapi:
    """The driver, as a dialect's `import_dbapi` returns it."""
    return _Driver(aiosqlite, sqlite3)


class _DriverConnection(aiosqlite.Connection):
    async def run(self, operation: str, parameters: Any) -> tuple[sqlite3.Cursor, list[Any]]:  # noqa: ANN401 - DB-API's
        """Execute a statement and fetch all of its rows; the cursor is closed and knows its description and counts."""

        def all_at_once() -> tuple[sqlite3.Cursor, list[Any]]:
            cursor = self._conn.execute(operation, parameters or ())
            try:
                return cursor, cursor.fetchall() if cursor.description else []
            finally:
                cursor.close()

        answer: tuple[sqlite3.Cursor, list[Any]] = await self._execute(all_at_once)  # type: ignore[no-untyped-call] # theirs
        return answer

    async def run_many(self, operation: str, parameters: Any) -> sqlite3.Cursor:  # noqa: ANN401 - DB-API's
        """Execute a statement once for each of the parameters."""
        cursor: sqlite3.Cursor = await self._execute(  # type: ignore[no-untyped-call] # theirs
            self._conn.executemany, operation, parameters
        )
        return cursor


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    __slots__ = ()
    _connection: Any  # a _DriverConnection, which SQLAlchemy describes by its own protocol
    _cursor: Any  # a sqlite3.Cursor, closed, or None

    def _make_new_cursor(self, connection: Any) -> Any:  # noqa: ANN401 - as SQLAlchemy declares it
        return None  # the driver's thread makes it with the first statement

    def _aenter_cursor(self, cursor: Any) -> Any:  # noqa: ANN401 - as above
        return cursor

    async def _execute_async(self, operation: Any, parameters: Any) -> None:  # noqa: ANN401 - as above
        async with self._adapt_connection._execute_mutex:  # noqa: SLF001 - as SQLAlchemy's own cursors do
            self._cursor, rows = await self._connection.run(operation, parameters)
            self._rows.extend(rows)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> None:  # noqa: ANN401 - as above
        async with self._adapt_connection._execute_mutex:  # noqa: SLF001 - as above
            self._cursor = await self._connection.run_many(operation, seq_of_parameters)

    async def _async_soft_close(self) -> None:
        pass  # it is closed already

    def close(self) -> None:
        self._rows.clear()


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _Cursor


class _Driver(AsyncAdapt_aiosqlite_dbapi):
    def connect(self, *arguments: Any, **options: Any) -> _Connection:  # noqa: ANN401 - sqlite3's, of many types
        connection: Any = await_(_open(partial(sqlite3.connect, *arguments, **options)))
        return _Connection(self, connection)


async def _open(connector: partial[sqlite3.Connection]) -> aiosqlite.Connection:
    connection = _DriverConnection(connector, CHUNK)
    thread = connection._thread  # noqa: SLF001 - as SQLAlchemy does; there is no other way to it
    thread.daemon = True
    try:
        return await connection
    except sqlite3.Error:
        # aiosqlite leaves its thread to report to an event loop that may be closed by then.
        await asyncio.to_thread(thread.join)
        raise
