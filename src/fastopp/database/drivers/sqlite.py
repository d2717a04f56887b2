"""SQLite through aiosqlite, safe under concurrent requests."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import aiosqlite
from sqlalchemy import URL, event
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection, AsyncAdapt_dbapi_cursor
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi, SQLiteDialect_aiosqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import Dialect as AnyDialect
from sqlalchemy.pool import PoolProxiedConnection

from fastopp.database.drivers import one_trip
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.libpq import DatabaseURLError

# An execution option of the engine that reads: no BEGIN, so that a reader never waits for the writer.
AUTOCOMMIT = "sqlite_autocommit"

SWITCHES = 10
"""Attempts of a connection to switch a new file that others switch too."""

_WAL = "PRAGMA journal_mode=WAL"  # readers and the writer do not wait for each other
_PRAGMAS = (
    "PRAGMA synchronous=NORMAL",  # with WAL still never corrupt: https://www.sqlite.org/pragma.html#pragma_synchronous
    "PRAGMA foreign_keys=ON",
)


class Dialect(SQLiteDialect_aiosqlite):
    """SQLAlchemy's aiosqlite dialect, without the trips to the driver's thread that change nothing."""

    supports_statement_cache = True

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[AnyDialect]:
        """This very class: it is asynchronous."""
        return cls

    @classmethod
    def import_dbapi(cls) -> AsyncAdapt_aiosqlite_dbapi:
        """aiosqlite, as SQLAlchemy is to see it."""
        return one_trip.driver()

    def do_rollback(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Roll back if there is anything to roll back."""
        if _in_transaction(dbapi_connection):
            dbapi_connection.rollback()

    def do_commit(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Commit if there is anything to commit."""
        if _in_transaction(dbapi_connection):
            try:
                dbapi_connection.commit()
            except BaseException:
                # SQLite keeps a transaction whose COMMIT fails open, and SQLAlchemy takes it for ended: with its lock
                # and what it wrote, it would go back to the pool.
                self.do_rollback(dbapi_connection)
                raise


def _in_transaction(connection: PoolProxiedConnection) -> bool:
    driver_connection: aiosqlite.Connection | None = connection.driver_connection
    return driver_connection is not None and driver_connection.in_transaction


def connect_arguments(url: DatabaseURL, *, timeout: float) -> dict[str, Any]:
    """The arguments of `sqlite3.connect`: `timeout` seconds for a lock, and no BEGIN of Python's own.

    Raises DatabaseURLError when the folder of the file is not there.
    """
    folder = Path(url.database or "").parent
    if not folder.is_dir():
        raise DatabaseURLError(
            f"The folder {folder} of the SQLite file does not exist.", hint="Create it, or fix the URL."
        )
    return {"timeout": timeout, "isolation_level": None}


def _use_wal(cursor: AsyncAdapt_dbapi_cursor) -> None:
    """Switch the file to a write-ahead log.

    Of two connections that switch a new file at the same time, SQLite answers one SQLITE_BUSY at once and ignores its
    timeout. BEGIN IMMEDIATE waits for the other, and then the file is switched already.
    """
    for _ in range(SWITCHES):
        try:
            cursor.execute(_WAL)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
        else:
            return
    cursor.execute(_WAL)


def prepare(engine: Engine) -> None:
    """Set each new connection up, and begin transactions so that writers queue instead of failing."""

    @event.listens_for(engine, "connect")
    def set_up(dbapi_connection: AsyncAdapt_dbapi_connection, _record: object) -> None:
        cursor = dbapi_connection.cursor()
        _use_wal(cursor)
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads and then writes cannot wait for a lock: it would have to see other data.
        # An immediate one takes its turn at the start.
        if not connection.get_execution_options().get(AUTOCOMMIT):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
