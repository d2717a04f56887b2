"""Checks that connect to the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.database.engine import in_autocommit
from fastopp.database.session import Database
from fastopp.errors import FastOppError
from fastopp.features.database.checks import is_near
from fastopp.features.database.replica_checks import unused_replica as unused_replica  # a check of this app, too

ROUNDS = 3  # transactions of each of two connections, whose servers are compared


@check(
    "fastopp.E110",
    "The database does not answer",
    fix="Check that DATABASE_URL is the one in the dashboard, and that the database is running.",
    subject=Subject.DATABASE,
    mode=Mode.LIVE,
)
async def unreachable(context: CheckContext) -> AsyncIterator[Problem]:
    """Every page that uses the database would answer 503."""
    try:
        async with _connection(context) as connection:
            await connection.execute(text("SELECT 1"))
    except FastOppError as error:  # DatabaseUnavailable, or a certificate or folder that is missing
        yield Problem(error.message, error.hint)


@check(
    "fastopp.E111",
    "The database connection is not encrypted",
    fix="Set sslmode=require in DATABASE_URL. If the connection then fails, the server does not offer TLS.",
    subject=Subject.DATABASE,
    mode=Mode.LIVE,
)
async def unencrypted(context: CheckContext) -> AsyncIterator[Problem]:
    """This tests the connection itself, as far as the pooler, and not only the settings."""
    settings, url = context.settings, context.database
    if url.backend == "sqlite" or all(host.is_socket for host in url.hosts):
        return
    if not context.platform.requires_tls and (settings.development or is_near(url)):
        return
    async with _connection(context) as connection:
        raw = await connection.get_raw_connection()
        if not is_encrypted(raw.driver_connection):
            yield Problem("The connection to the database is not encrypted.")


@check(
    "fastopp.I112",
    "A transaction pooler is in front of the database",
    fix="None needed, if your own code keeps nothing on the server between transactions (docs/database.md).",
    subject=Subject.DATABASE,
    mode=Mode.LIVE,
)
async def transaction_pooler(context: CheckContext) -> AsyncIterator[Problem]:
    """Each transaction may use another server connection, so named prepared statements, SET, LISTEN, temporary tables
    and session locks do not last. FastOpp uses none of them."""
    if context.database.backend == "sqlite":
        return
    async with _database(context) as database, database.engine.connect() as one, database.engine.connect() as other:
        # Without a pooler each keeps its own server process, from one transaction to the next.
        processes = []
        for _ in range(ROUNDS):
            for connection in (one, other):
                processes.append(await _server_process(connection))
                await connection.commit()
        if set(processes[::2]) & set(processes[1::2]):
            yield Problem("A transaction pooler was detected: two connections used the same server process.")
        elif len(set(processes)) > 2:
            yield Problem("A transaction pooler was detected: a connection used another server process each time.")


@check(
    "fastopp.W113",
    "The pool may open more connections than the server allows",
    fix="Lower DB_POOL_SIZE and DB_MAX_OVERFLOW.",
    subject=Subject.DATABASE,
    mode=Mode.LIVE,
)
async def too_many_connections(context: CheckContext) -> AsyncIterator[Problem]:
    """Every process has a pool. Connections above the server's limit fail with "too many connections"."""
    settings = context.settings
    if context.database.backend == "sqlite":
        return
    async with _connection(context) as connection:
        allowed = int((await connection.execute(text("SHOW max_connections"))).scalar_one())
    wanted = settings.db_pool_size + settings.db_max_overflow
    if wanted > allowed:
        yield Problem(f"One process may open {wanted} connections; the server allows {allowed}.")


def is_encrypted(driver_connection: Any) -> bool:  # noqa: ANN401 - psycopg's or asyncpg's
    """Return whether a driver's connection uses TLS. Raises CannotCheck for a driver that is not ours."""
    if hasattr(driver_connection, "pgconn"):
        return bool(driver_connection.pgconn.ssl_in_use)
    transport = getattr(driver_connection, "_transport", None)  # asyncpg has no public name for it
    if transport is None:
        raise CannotCheck("This driver does not report whether it uses TLS.")
    return transport.get_extra_info("ssl_object") is not None


@asynccontextmanager
async def _database(context: CheckContext) -> AsyncIterator[Database]:
    database = Database.from_settings(context.database_settings)
    try:
        yield database
    finally:
        await database.dispose()


@asynccontextmanager
async def _connection(context: CheckContext) -> AsyncIterator[AsyncConnection]:
    async with _database(context) as database, in_autocommit(database.engine).connect() as connection:
        yield connection


async def _server_process(connection: AsyncConnection) -> int:
    return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
