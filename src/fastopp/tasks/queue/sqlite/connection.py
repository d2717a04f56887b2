"""Connections to the file: how each is set up, and a thread for one."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from procrastinate import exceptions, manager

Result = TypeVar("Result")
Synchronous = Literal["NORMAL", "FULL", "EXTRA"]

MINIMUM = (3, 38)  # RETURNING, JSON always there, and its operator ->>

_CONSTRAINTS = {
    "procrastinate_jobs.queueing_lock": manager.QUEUEING_LOCK_CONSTRAINT,
    "procrastinate_jobs.lock": "procrastinate_jobs_lock_idx_v1",
    "procrastinate_periodic_defers.task_name": "procrastinate_periodic_defers_unique",
}


def connect(path: Path, *, busy_timeout: float, synchronous: Synchronous) -> sqlite3.Connection:
    """A connection in autocommit, to be used by one thread at a time. Makes the file, but not its folder.

    Raises ConnectorException when SQLite is too old or cannot open the file.
    """
    if sqlite3.sqlite_version_info < MINIMUM:
        needed = ".".join(map(str, MINIMUM))
        raise exceptions.ConnectorException(f"SQLite {needed} is needed; this is {sqlite3.sqlite_version}.")
    with translated(path):
        connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def translated(path: Path | str) -> Iterator[None]:
    """Raise SQLite's errors as procrastinate's."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            column = re.search(r"failed: ([\w.]+)", str(error))
            name = _CONSTRAINTS.get(column[1]) if column else None
            raise exceptions.UniqueViolation(str(error), constraint_name=name, queueing_lock=None) from error
        raise exceptions.ConnectorException(f"SQLite, {path}: {error}") from error
    except (sqlite3.Error, OverflowError) as error:  # OverflowError: an integer beyond 64 bits
        raise exceptions.ConnectorException(f"SQLite, {path}: {error}") from error


class ConnectionThread:
    """One connection, and the only thread that uses it: no event loop waits for a disk or a lock.

    Parameters
    ----------
    connection: is closed with the thread.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="procrastinate-sqlite")

    async def call(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """The function's result, with the event loop free meanwhile. Once it has begun, it cannot be cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, self._connection)

    def submit(self, function: Callable[[sqlite3.Connection], Result]) -> Future[Result]:
        """The function's result, to wait for without an event loop."""
        return self._executor.submit(function, self._connection)

    def close(self) -> Future[None]:
        """Close the connection after what was asked before; the thread ends."""
        closed = self._executor.submit(self._connection.close)
        self._executor.shutdown(wait=False)
        return closed


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, as one writer among all processes."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
