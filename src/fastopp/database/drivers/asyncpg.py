"""PostgreSQL through asyncpg, for a URL that says `+asyncpg`: libpq's parameters, in asyncpg's words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg  # type: ignore[import-untyped] # it has no types
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection

from fastopp.database import keepalive
from fastopp.database.drivers import tls
from fastopp.database.drivers.dialect import PreparedDialect
from fastopp.database.errors import unavailable
from fastopp.settings.asyncpg_parameters import ARGUMENTS, SERVER_SETTINGS
from fastopp.settings.database_url import DatabaseURL


class Dialect(PreparedDialect, PGDialect_asyncpg):
    """SQLAlchemy's asyncpg dialect, asking less on each connection."""

    supports_statement_cache = True
    # SQLAlchemy teaches asyncpg to read JSON with two questions a connection; as text it needs none.
    supports_native_json_deserialization = False

    def on_connect(self) -> None:
        """Nothing: see `supports_native_json_deserialization`."""

    def server_version(self, connection: Connection) -> tuple[int, ...]:
        """The version that the server sent with its greeting."""
        version = _driver_connection(connection).get_server_version()
        return version.major, version.minor

    def parameter(self, connection: Connection, name: str) -> str | None:
        """A setting that the server sent with its greeting."""
        value: str | None = getattr(_driver_connection(connection).get_settings(), name, None)
        return value

    def do_terminate(self, dbapi_connection: DBAPIConnection) -> None:
        """Close at once: a polite goodbye to a server that does not answer takes two seconds."""
        connection: Any = dbapi_connection
        connection.driver_connection.terminate()


def _driver_connection(connection: Connection) -> asyncpg.Connection:
    return connection.connection.driver_connection


def connector(
    url: DatabaseURL, *, timeout: float, statement_timeout: float
) -> Callable[..., Awaitable[asyncpg.Connection]]:
    """Return a function that opens a connection within `timeout` seconds; it raises DatabaseUnavailable on failure."""
    arguments: dict[str, Any] = _arguments(url.query) | tls.asyncpg_arguments(url.query)
    places = [host for host in url.hosts if host.name]
    if places:
        arguments["host"] = [host.name for host in places]
    if places or url.hosts:
        ports = [host.port for host in places or url.hosts]
        arguments["port"] = ports if places else ports[0]
    arguments |= {"user": url.user, "password": url.password, "database": url.database}
    limit = min(timeout, float(url.query.get("connect_timeout") or 0) or timeout)

    async def connect(*_args: object, **_of_the_dialect: object) -> asyncpg.Connection:
        try:
            # asyncpg's own time limit is a cancellation, too.
            async with asyncio.timeout(limit):
                connection = await asyncpg.connect(
                    **arguments, timeout=limit, command_timeout=statement_timeout, statement_cache_size=0
                )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise unavailable(url.masked, error) from error
        keepalive.apply(connection._transport.get_extra_info("socket"), timeout, url.query)  # noqa: SLF001 - no other way
        return connection

    return connect


def _arguments(query: Mapping[str, str]) -> dict[str, Any]:
    arguments: dict[str, Any] = {name: query[name] for name in ARGUMENTS if name in query}
    settings = {name: query[name] for name in SERVER_SETTINGS if name in query}
    if "fallback_application_name" in query:
        settings.setdefault("application_name", query["fallback_application_name"])
    if settings:
        arguments["server_settings"] = settings
    return arguments


def has_news(connection: asyncpg.Connection) -> bool:
    """Return whether the server said goodbye, which the event loop has then heard; no round trip."""
    return bool(connection.is_closed())


async def ping(connection: asyncpg.Connection, limit: float) -> bool:
    """Return whether the server still answers, within `limit` seconds."""
    try:
        await connection.execute("select 1", timeout=limit)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False
    return True


def hang_up(connection: asyncpg.Connection) -> None:
    """Close the socket without a word."""
    connection.terminate()
