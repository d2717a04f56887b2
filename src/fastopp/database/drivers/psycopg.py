"""PostgreSQL through psycopg 3, the default driver: libpq does TLS, and statements are bounded in time."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import AdaptContext, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection, IsolationLevel
from sqlalchemy.pool import PoolProxiedConnection

from fastopp.database.drivers import tls
from fastopp.database.drivers.dialect import PreparedDialect
from fastopp.database.errors import unavailable
from fastopp.database.keepalive import KEEPALIVE
from fastopp.settings.database_url import DatabaseURL

T = TypeVar("T")


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A connection that waits `limit` seconds for the server and then closes itself.

    A server that vanished without closing the socket would be waited for until the kernel gives up, which takes
    minutes. psycopg's own answer to a cancelled task is to ask the server to stop and wait for that, up to ten seconds
    more; SQLAlchemy throws the connection away in any case, so it is closed at once.
    """

    limit: float | None = None

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's signature
        """Wait for the server; raises OperationalError when it does not answer in time."""
        try:
            limit = self.limit if timeout is None else timeout
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=limit)
        except psycopg.errors._WaitTimeout:  # noqa: SLF001 - what wait() is documented to raise
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.errors.ConnectionTimeout("the server did not answer in time") from None
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            self.pgconn.finish()
            raise


class Dialect(PreparedDialect, PGDialectAsync_psycopg):
    """SQLAlchemy's psycopg dialect, asking less on the first connection."""

    supports_statement_cache = True

    def __init__(self, **arguments: Any) -> None:  # noqa: ANN401 - SQLAlchemy's, of many types
        # Looking for the extension hstore, which few have, takes three round trips.
        super().__init__(use_native_hstore=False, **arguments)  # type: ignore[no-untyped-call] # as PreparedDialect

    # psycopg waits for a lock and its event loop even when it asks the server nothing; five such waits a request cost
    # as much as running a query.

    def set_isolation_level(self, dbapi_connection: DBAPIConnection, level: IsolationLevel) -> None:
        """Set autocommit or a level, and only what differs."""
        connection: Any = dbapi_connection
        autocommit = level == "AUTOCOMMIT"
        if connection.autocommit != autocommit:
            connection.autocommit = autocommit
        if not autocommit and connection.driver_connection.isolation_level != self._isolation_lookup[level]:
            connection.set_isolation_level(self._isolation_lookup[level])

    def do_rollback(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Roll back if there is anything to roll back."""
        driver_connection: Any = dbapi_connection.driver_connection
        if driver_connection.info.transaction_status != TransactionStatus.IDLE:
            super().do_rollback(dbapi_connection)  # type: ignore[no-untyped-call] # SQLAlchemy types it in part

    def server_version(self, connection: Connection) -> tuple[int, ...]:
        """The version that the server sent with its greeting."""
        return divmod(_driver_connection(connection).info.server_version, 10_000)

    def parameter(self, connection: Connection, name: str) -> str | None:
        """A setting that the server sent with its greeting."""
        return _driver_connection(connection).info.parameter_status(name)


def _driver_connection(connection: Connection) -> BoundedConnection:
    driver_connection: BoundedConnection = connection.connection.driver_connection  # type: ignore[assignment] # typed Any|None
    return driver_connection


def connector(
    url: DatabaseURL, *, timeout: float, statement_timeout: float
) -> Callable[..., Awaitable[BoundedConnection]]:
    """Return a function that opens a connection within `timeout` seconds; it raises DatabaseUnavailable on failure."""
    parameters: dict[str, Any] = {
        "gssencmode": "disable",  # Kerberos is another round trip that almost no site needs
        "tcp_user_timeout": int(timeout * 1000),
        **{f"keepalives_{name}": value for name, value in KEEPALIVE.items()},
        **tls.libpq_parameters(url.query),
    }
    if url.host:
        parameters["host"] = ",".join(host.name or "" for host in url.hosts)
    parameters["port"] = ",".join(str(host.port) for host in url.hosts)
    login = {"user": url.user, "password": url.password, "dbname": url.database}
    parameters |= {name: value for name, value in login.items() if value is not None}
    limit = min(timeout, float(url.query.get("connect_timeout") or 0) or timeout)

    async def connect(
        *_args: object, context: AdaptContext | None = None, **_of_the_dialect: object
    ) -> BoundedConnection:
        try:
            async with asyncio.timeout(limit):
                connection = await BoundedConnection.connect(prepare_threshold=None, context=context, **parameters)
        except (psycopg.Error, OSError) as error:
            raise unavailable(url.masked, error) from error
        connection.limit = statement_timeout
        return connection

    return connect


def has_news(connection: BoundedConnection) -> bool:
    """Return whether the server said something unasked, which is mostly goodbye; no round trip."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


async def ping(connection: BoundedConnection, limit: float) -> bool:
    """Return whether the server still answers, within `limit` seconds."""
    usual, connection.limit = connection.limit, limit
    try:
        await connection.set_autocommit(True)
        await connection.execute("")
        await connection.set_autocommit(False)
    except (psycopg.Error, OSError):
        return False
    finally:
        connection.limit = usual
    return True


def hang_up(connection: BoundedConnection) -> None:
    """Close the socket without a word."""
    connection.pgconn.finish()
