"""The transaction that a migration runs in: all or nothing, one at a time, bounded in time."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from fastopp.database.migrations.errors import MigrationError, MigrationFailed, MigrationTimeout
from fastopp.settings.database_url import DatabaseURL

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# The key of the advisory lock that all instances agree on; PostgreSQL wants 64 bits with a sign.
LOCK_KEY = int.from_bytes(hashlib.sha256(b"fastopp migrations").digest()[:8], "big", signed=True)

# Seconds that an ALTER TABLE waits for a table in use. While it waits, every query on that table queues up behind
# it, so it gives up before the visitors do.
TABLE_LOCK_TIMEOUT = 10.0

CONNECT_TIMEOUT = 10.0  # seconds, for PostgreSQL

# SQLSTATEs that say that a time limit was reached: a lock's, a statement's.
_TIMEOUT_CODES = ("55P03", "57014")


# Alembic keeps the running migration in its own globals, hence a lock of the process. An asyncio lock
# belongs to one event loop, and a test run has many.
_process_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


@asynccontextmanager
async def alembic_alone(timeout: float) -> AsyncIterator[None]:  # noqa: ASYNC109 - the caller's, passed on
    """Run Alembic while no other thread of this process runs it. Raises MigrationTimeout after `timeout` seconds."""
    lock = _process_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    try:
        async with asyncio.timeout(timeout):
            await lock.acquire()
    except TimeoutError as error:
        raise MigrationTimeout(f"Another migration of this process takes longer than {timeout:g} seconds.") from error
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def migration_transaction(url: DatabaseURL, timeout: float) -> AsyncIterator[AsyncConnection]:  # noqa: ASYNC109 - it bounds the server's work as well
    """Open a separate connection, in a transaction that excludes other migrations of this database.

    On PostgreSQL the lock belongs to the transaction, so that it works behind a transaction pooler and vanishes with
    the process. SQLite's BEGIN IMMEDIATE is such a lock already, and makes its DDL part of the transaction.

    Parameters
    ----------
    timeout: seconds for everything: waiting for other instances and migrating.

    Raises
    ------
    MigrationTimeout, MigrationFailed, DatabaseUnavailable: nothing was changed.
    """
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415 - as above

    from fastopp.database.engine import create_engine  # noqa: PLC0415 - health imports this package for less

    engine = create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        timeout=timeout if url.backend == "sqlite" else min(timeout, CONNECT_TIMEOUT),  # SQLite: to wait for its lock
        statement_timeout=timeout,
    )
    exclusive = _sqlite if url.backend == "sqlite" else _postgresql
    try:
        async with asyncio.timeout(timeout), engine.connect() as connection, exclusive(connection, timeout):
            yield connection
    except TimeoutError as error:
        raise MigrationTimeout(f"The migration did not end within {timeout:g} seconds.") from error
    except DBAPIError as error:
        if timed_out(error.orig):
            raise MigrationTimeout from error
        reason = str(error.orig).partition("\n")[0]  # the lines after it may quote rows
        raise MigrationFailed(f"The database refused the migration, and nothing was changed: {reason}") from error
    finally:
        await engine.dispose()


def timed_out(error: BaseException | None) -> bool:
    """Return whether a driver's error is a lock timeout or a statement timeout of the server."""
    return getattr(error, "sqlstate", None) in _TIMEOUT_CODES


@asynccontextmanager
async def _postgresql(connection: AsyncConnection, timeout: float) -> AsyncIterator[None]:  # noqa: ASYNC109 - as above
    from sqlalchemy import text  # noqa: PLC0415 - as above

    limits = text("SELECT set_config('lock_timeout', :lock, true), set_config('statement_timeout', :whole, true)")
    whole, table = f"{timeout * 1000:.0f}", f"{min(timeout, TABLE_LOCK_TIMEOUT) * 1000:.0f}"
    # After waiting for the lock, the next query must see what its holder committed.
    await connection.execution_options(isolation_level="READ COMMITTED")
    async with connection.begin():
        await connection.execute(limits, {"lock": whole, "whole": whole})
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        await connection.execute(limits, {"lock": table, "whole": whole})
        yield


@asynccontextmanager
async def _sqlite(connection: AsyncConnection, _timeout: float) -> AsyncIterator[None]:
    # A batch migration replaces a table by its copy; with foreign keys on, dropping the old one would delete what
    # points to it. Inside a transaction the switch does nothing. https://www.sqlite.org/lang_altertable.html#otheralter
    driver: Any = (await connection.get_raw_connection()).driver_connection
    await driver.execute("PRAGMA foreign_keys = OFF")
    async with connection.begin():
        # FastOpp 0.4.8 did not enforce foreign keys, so rows that point nowhere may be there already.
        before = await _dangling(connection)
        yield
        for (table, parent), count in (await _dangling(connection)).items():
            if count > before[table, parent]:
                raise MigrationError(
                    f"The migration leaves rows of {table} that refer to rows of {parent} that do not exist. "
                    "Nothing was changed.",
                    hint="Let the migration fix or delete those rows as well.",
                )


async def _dangling(connection: AsyncConnection) -> Counter[tuple[str, str]]:
    """Count the rows that refer to a missing row, by their table and the other."""
    rows = await connection.exec_driver_sql("PRAGMA foreign_key_check")
    return Counter((row["table"], row["parent"]) for row in rows.mappings())
