"""The connector: procrastinate's interface to a database, on a file of SQLite."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procrastinate import connector, exceptions

from . import queries
from .connection import ConnectionThread, Synchronous, connect, transaction, translated
from .listener import Listener
from .queries import Query
from .statements import run, run_async
from .values import Row, Values

if TYPE_CHECKING:
    import aiosqlite


class SQLiteConnector(connector.BaseAsyncConnector):
    """Procrastinate's jobs in a file of SQLite, safe with any number of processes and threads.

    It serves synchronous and asynchronous callers alike, through one connection with its own thread. Give it to
    `procrastinate.App(connector=…)`. SQL that is none of procrastinate's queries is passed on as it stands, with
    parameters written as `%(name)s` or `:name`.

    Parameters
    ----------
    path: the file, which is made when it is missing; its folder is not.
    json_dumps, json_loads: to write and read the arguments of tasks, instead of those of `json`.
    busy_timeout: seconds to wait for another process that writes, before ConnectorException.
    synchronous: SQLite's setting. With NORMAL, acknowledged writes survive the death of any process; when the
        machine loses power, the last moments may be lost, never the file. FULL waits for the disk on each commit.
    poll_interval: seconds between two looks for what other processes have written, while a worker listens.

    Raises
    ------
    ValueError: the path names a database in memory, which other connections could not see.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        json_dumps: Callable[..., str] | None = None,
        json_loads: Callable[..., Any] | None = None,
        busy_timeout: float = 30.0,
        synchronous: Synchronous = "NORMAL",
        poll_interval: float = 0.02,
    ) -> None:
        if str(path) in {"", ":memory:"}:
            raise ValueError("SQLiteConnector needs a file; for tests, procrastinate has its InMemoryConnector.")
        self.path = Path(path)
        self._values = Values(json_dumps, json_loads)
        self._connect = partial(connect, self.path, busy_timeout=busy_timeout, synchronous=synchronous)
        self._poll_interval = poll_interval
        self._queries = queries.by_text()
        self._open: ConnectionThread | None = None
        self._listeners: set[Listener] = set()

    def get_sync_connector(self) -> connector.BaseConnector:
        """This very connector."""
        return self

    def open(self, pool: connector.Pool | None = None) -> None:
        """Open the file. Raises ConnectorException when that is impossible, or for a pool: there is none to give."""
        if pool is not None:
            raise exceptions.ConnectorException("SQLiteConnector opens its file by itself and takes no pool.")
        if self._open is None:
            self._open = ConnectionThread(self._connect())

    def close(self) -> None:
        """Close the file, after what is under way."""
        if self._open is not None:
            self._close().result()

    async def open_async(self, pool: connector.Pool | None = None) -> None:
        """As `open`."""
        await asyncio.to_thread(self.open, pool)

    async def close_async(self) -> None:
        """As `close`."""
        if self._open is not None:
            await asyncio.wrap_future(self._close())

    def _close(self) -> Future[None]:
        thread, self._open = self._thread, None
        return thread.close()

    @property
    def _thread(self) -> ConnectionThread:
        if self._open is None:
            raise exceptions.AppNotOpen
        return self._open

    def execute_query(self, query: str, **arguments: object) -> None:
        """Run a query for its effect."""
        self.execute_query_all(query, **arguments)

    def execute_query_one(self, query: str, **arguments: object) -> Row:
        """The first row. Raises NoResult when there is none."""
        return _first(self.execute_query_all(query, **arguments))

    def execute_query_all(self, query: str, **arguments: object) -> list[Row]:
        """All rows."""
        found = self._find(query)
        rows = self._thread.submit(partial(self._run, found, arguments)).result()
        self._wake_listeners(found)
        return rows

    async def execute_query_async(self, query: str, **arguments: object) -> None:
        """Run a query for its effect."""
        await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(self, query: str, **arguments: object) -> Row:
        """The first row. Raises NoResult when there is none."""
        return _first(await self.execute_query_all_async(query, **arguments))

    async def execute_query_all_async(self, query: str, **arguments: object) -> list[Row]:
        """All rows."""
        found = self._find(query)
        rows = await self._thread.call(partial(self._run, found, arguments))
        self._wake_listeners(found)
        return rows

    def execute_query_one_with_connection(self, connection: sqlite3.Connection, query: str, **arguments: object) -> Row:
        """The first row, through the caller's connection and in the caller's transaction."""
        return _first(self.execute_query_all_with_connection(connection, query, **arguments))

    def execute_query_all_with_connection(
        self, connection: sqlite3.Connection, query: str, **arguments: object
    ) -> list[Row]:
        """All rows, through the caller's connection and in the caller's transaction."""
        operation = self._find(query).operation(self._values, **arguments)
        with translated("the caller's connection"):
            return run(operation, connection, self._values)

    async def execute_query_one_async_with_connection(
        self, connection: aiosqlite.Connection, query: str, **arguments: object
    ) -> Row:
        """The first row, through the caller's connection and in the caller's transaction."""
        return _first(await self.execute_query_all_async_with_connection(connection, query, **arguments))

    async def execute_query_all_async_with_connection(
        self, connection: aiosqlite.Connection, query: str, **arguments: object
    ) -> list[Row]:
        """All rows, through the caller's connection and in the caller's transaction."""
        operation = self._find(query).operation(self._values, **arguments)
        with translated("the caller's connection"):
            return await run_async(operation, connection, self._values)

    async def listen_notify(self, on_notification: connector.Notify, channels: Iterable[str]) -> None:
        """Call back for each notification, until cancelled. Raises ConnectorException when the file fails."""
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[tuple[str, str] | Exception] = asyncio.Queue()

        def hear(item: tuple[str, str] | Exception) -> None:
            loop.call_soon_threadsafe(heard.put_nowait, item)

        listener = Listener(
            self._connect,
            channels,
            deliver=lambda channel, payload: hear((channel, payload)),
            fail=hear,
            interval=self._poll_interval,
        )
        self._listeners.add(listener)
        listener.start()
        try:
            while True:
                item = await heard.get()
                if isinstance(item, Exception):
                    with translated(self.path):
                        raise item
                channel, payload = item
                await on_notification(channel=channel, payload=payload)
        finally:
            self._listeners.discard(listener)
            listener.stop()
            await asyncio.to_thread(listener.join)

    def _find(self, query: str) -> Query:
        return self._queries.get(query) or queries.foreign(query)

    def _run(self, query: Query, arguments: dict[str, object], connection: sqlite3.Connection) -> list[Row]:
        operation = query.operation(self._values, **arguments)
        with translated(self.path):
            if not query.atomic:
                return run(operation, connection, self._values)
            with transaction(connection):
                return run(operation, connection, self._values)

    def _wake_listeners(self, query: Query) -> None:
        if query.notifies:
            for listener in self._listeners:
                listener.wake()


def _first(rows: list[Row]) -> Row:
    if not rows:
        raise exceptions.NoResult
    return rows[0]
