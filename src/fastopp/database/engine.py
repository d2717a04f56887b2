"""The one engine of a process: driver, pool, time limits, and what becomes of errors."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.dialects import registry
from sqlalchemy.engine import Engine, ExceptionContext
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.errors import READ_ONLY, ReplicaIsReadOnly, outage_reason, tables_missing, unavailable
from fastopp.database.pool import RECYCLE_AFTER, BoundedPool, Driver, check_idle_connections
from fastopp.settings.database_url import DatabaseURL


def create_engine(
    url: DatabaseURL,
    *,
    pool_size: int,
    max_overflow: int,
    timeout: float,
    statement_timeout: float | None = None,
    replica: bool = False,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncEngine:
    """An engine for a database URL. It connects when it is first used.

    Behind a transaction pooler each transaction may meet another server connection, so nothing is kept on the
    server: no named prepared statement, no session setting.

    Parameters
    ----------
    url: which database.
    pool_size: connections to keep.
    max_overflow: connections to open beyond those.
    timeout: seconds within which a connection must be ready.
    statement_timeout: seconds a statement may take; `timeout` by default. A migration wants more.
    replica: the server is a replica, so that a refused write is a mistake and no outage.

    Raises
    ------
    DatabaseURLError: the folder of a SQLite file or a certificate is missing, or the driver cannot do what the URL
    asks. Errors of the engine that mean an outage are raised as DatabaseUnavailable.
    """
    arguments: dict[str, Any] = {
        "poolclass": BoundedPool,
        "pool_size": pool_size,
        "max_overflow": max_overflow,
        "pool_timeout": timeout,
        "pool_use_lifo": True,  # the rest of the pool grows idle, and a server or a freeze may drop it unmissed
        "hide_parameters": True,
    }
    if url.backend == "sqlite":
        engine = _create_sqlite(url, arguments, timeout=timeout)
    else:
        engine, driver = _create_postgresql(
            url, arguments, timeout=timeout, statement_timeout=statement_timeout or timeout
        )
        check_idle_connections(engine.sync_engine, driver, clock)
    pool = engine.sync_engine.pool
    assert isinstance(pool, BoundedPool)  # noqa: S101 - it is the poolclass above
    pool.target = url.masked
    pool.clock = clock
    _translate_errors(engine.sync_engine, url, replica=replica)
    return engine


def in_autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same engine and pool, without transactions: a query is one round trip, and a reader blocks no other."""
    if engine.dialect.name == "sqlite":
        from fastopp.database.drivers.sqlite import AUTOCOMMIT  # noqa: PLC0415 - loaded only where it is used

        return engine.execution_options(**{AUTOCOMMIT: True})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _create_sqlite(url: DatabaseURL, arguments: dict[str, Any], *, timeout: float) -> AsyncEngine:
    from fastopp.database.drivers import sqlite as sqlite_driver  # noqa: PLC0415 - loaded only where it is used

    registry.register("sqlite.fastopp", sqlite_driver.__name__, "Dialect")
    connect_args = sqlite_driver.connect_arguments(url, timeout=timeout)
    engine = create_async_engine(
        URL.create("sqlite+fastopp", database=url.database), connect_args=connect_args, **arguments
    )
    sqlite_driver.prepare(engine.sync_engine)
    return engine


def _create_postgresql(
    url: DatabaseURL, arguments: dict[str, Any], *, timeout: float, statement_timeout: float
) -> tuple[AsyncEngine, Driver]:
    connect_args: dict[str, Any] = {}
    if url.driver == "asyncpg":
        from fastopp.database.drivers import asyncpg as driver  # noqa: PLC0415 - loaded only where it is used

        # With unnamed statements this cache holds no statement of the server's, only what it said about the types of
        # parameters and columns, so that a query seen before is one round trip instead of two.
        connect_args = {"prepared_statement_cache_size": 200, "prepared_statement_name_func": str}
    else:
        from fastopp.database.drivers import psycopg as driver  # type: ignore[no-redef] # noqa: PLC0415 - as above
    name = f"fastopp_{url.driver}"
    registry.register(f"postgresql.{name}", driver.__name__, "Dialect")
    connect_args["async_creator_fn"] = driver.connector(url, timeout=timeout, statement_timeout=statement_timeout)
    # The creator knows where to connect; the rest is for those who look at `engine.url`.
    shown = URL.create(f"postgresql+{name}", username=url.user, host=url.host, port=url.port, database=url.database)
    engine = create_async_engine(shown, connect_args=connect_args, pool_recycle=RECYCLE_AFTER, **arguments)
    return engine, driver


def _translate_errors(engine: Engine, url: DatabaseURL, *, replica: bool) -> None:
    @event.listens_for(engine, "handle_error")
    def translate(context: ExceptionContext) -> None:
        error = context.original_exception
        if not isinstance(error, Exception):  # a cancellation
            return
        if replica and getattr(error, "sqlstate", None) == READ_ONLY:
            raise ReplicaIsReadOnly from error
        if context.is_disconnect or outage_reason(error):
            context.is_disconnect = context.is_disconnect or isinstance(error, OSError)  # asyncpg's way to time out
            raise unavailable(url.masked, error) from error
        if missing := tables_missing(error):
            raise missing from error
        if context.execution_context and not isinstance(error, (context.dialect.loaded_dbapi.Error, SQLAlchemyError)):
            # asyncpg stumbled over an answer: its cached columns are from before a migration. After a query where none
            # can be awaited (MissingGreenlet), the connection could not be closed there either.
            context.is_disconnect = True
