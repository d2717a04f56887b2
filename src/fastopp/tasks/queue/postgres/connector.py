"""procrastinate on PostgreSQL, through an engine like the application's own.

procrastinate's own connector asks the server before each query whether it is still there, and wraps each query into a
transaction: four round trips where one does. This one has what the application's engine has: autocommit, nothing
prepared on the server (for a pooler), time limits, TLS exactly as the URL says, and a check only of connections that
were idle. It always uses psycopg, which procrastinate's queries are written for, also where the URL says asyncpg.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from procrastinate import exceptions, sql
from procrastinate.connector import BaseAsyncConnector
from psycopg.types.json import Jsonb
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from fastopp.database.engine import create_engine, in_autocommit
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.settings.database_url import DatabaseURL

_SLOT_TAKEN = """
SELECT 1 AS taken FROM procrastinate_periodic_defers
WHERE task_name = %(task_name)s AND periodic_id = %(periodic_id)s AND defer_timestamp >= %(defer_timestamp)s LIMIT 1
"""
_SLOT_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%(task_name)s || ' ' || %(periodic_id)s, 0))"


class PostgresConnector(BaseAsyncConnector):
    """Runs procrastinate's queries, one round trip each.

    Parameters
    ----------
    url: the database.
    connections: that it opens at most.
    timeout: seconds for a connection to be ready, and for each query.
    """

    def __init__(self, url: DatabaseURL, *, connections: int, timeout: float) -> None:
        self.url = replace(url, driver="psycopg")
        self._connections = connections
        self._timeout = timeout
        self._engine: AsyncEngine | None = None

    async def open_async(self, pool: object = None) -> None:
        """Make the engine; it connects when it is first used."""
        if self._engine is None:
            self._engine = create_engine(self.url, pool_size=self._connections, max_overflow=0, timeout=self._timeout)

    async def close_async(self) -> None:
        """Close the connections."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.dispose()

    async def execute_query_async(self, query: str, **arguments: Any) -> None:  # noqa: ANN401 - of many types
        """Run a query for its effect. Raises ConnectorException, as all of these do."""
        await self._execute(query, arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        """The first row. Raises NoResult when there is none."""
        if query == sql.queries["defer_periodic_job"]:
            return await self._defer_periodic(query, arguments)
        rows = await self._execute(query, arguments)
        if not rows:
            raise exceptions.NoResult
        return rows[0]

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - as above
        """All rows."""
        return await self._execute(query, arguments)

    async def _defer_periodic(self, query: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Queue a slot of a periodic task, unless it or a newer one was.

        A newer slot has procrastinate forget the older ones. A process that was frozen in between would queue one of
        those again.
        """
        if await self._execute(_SLOT_TAKEN, arguments):
            return {"id": None}
        with _translated():
            async with self._opened.begin() as connection:
                # A separate statement: the ones after it see what others have committed meanwhile.
                await _rows(connection, _SLOT_LOCK, arguments)
                if await _rows(connection, _SLOT_TAKEN, arguments):
                    return {"id": None}
                return (await _rows(connection, query, arguments))[0]

    async def _execute(self, query: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
        with _translated():
            async with in_autocommit(self._opened).connect() as connection:
                return await _rows(connection, query, arguments)

    @property
    def _opened(self) -> AsyncEngine:
        if self._engine is None:
            raise exceptions.AppNotOpen
        return self._engine


async def _rows(connection: AsyncConnection, query: str, arguments: dict[str, Any]) -> list[dict[str, Any]]:
    result = await connection.exec_driver_sql(query, _adapt(arguments))
    return [dict(row) for row in result.mappings()] if result.returns_rows else []


@contextmanager
def _translated() -> Iterator[None]:
    """Raise the driver's errors as procrastinate's."""
    try:
        yield
    except IntegrityError as error:
        name = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
        if getattr(error.orig, "sqlstate", None) == "23505":
            raise exceptions.UniqueViolation(constraint_name=name, queueing_lock=None) from error
        raise exceptions.ConnectorException from error
    except (DBAPIError, DatabaseUnavailable, TablesMissing) as error:
        raise exceptions.ConnectorException(str(error)) from error


def _adapt(value: Any) -> Any:  # noqa: ANN401 - of many types
    """Adapt values for psycopg: a nested dictionary is JSON."""
    if isinstance(value, dict):
        return {key: _adapt_inner(inner) for key, inner in value.items()}
    return value


def _adapt_inner(value: Any) -> Any:  # noqa: ANN401 - as above
    if isinstance(value, dict):
        return Jsonb(value)
    if isinstance(value, tuple):
        return tuple(map(_adapt_inner, value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(map(_adapt_inner, value))
    return value
