"""Answer SQLAlchemy's first-connection queries to PostgreSQL locally.

It asks seven things, each within BEGIN and ROLLBACK: some 17 round trips with psycopg and 23 with asyncpg. The
server says most of them unasked when it greets; the rest is one question.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect, IsolationLevel


class PreparedDialect(PGDialect):
    """A dialect that arrives prepared. A driver's dialect gives `server_version` and `parameter`."""

    # A dialect is made by SQLAlchemy with its own arguments; this one is known after `initialize`.
    _isolation_level: IsolationLevel = "READ COMMITTED"

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[Dialect]:
        """This very class: it is asynchronous."""
        return cls

    def server_version(self, connection: Connection) -> tuple[int, ...]:
        """The version of the server, without asking."""
        raise NotImplementedError

    def parameter(self, connection: Connection, name: str) -> str | None:
        """A setting that the server reports, without asking."""
        raise NotImplementedError

    def initialize(self, connection: Connection) -> None:
        """Learn about the server, outside any transaction."""
        dbapi_connection: Any = connection.connection.dbapi_connection
        dbapi_connection.autocommit = True
        super().initialize(connection)  # type: ignore[no-untyped-call] # SQLAlchemy types it in part
        dbapi_connection.autocommit = False  # not in a finally: a connection that failed here is thrown away

    def _get_server_version_info(self, connection: Connection) -> tuple[int, ...]:
        return self.server_version(connection)

    def _get_default_schema_name(self, connection: Connection) -> str:
        question = "select current_schema(), upper(current_setting('transaction_isolation'))"
        schema, self._isolation_level = connection.exec_driver_sql(question).one()
        return schema  # type: ignore[no-any-return] # a row holds anything

    def get_default_isolation_level(self, dbapi_conn: DBAPIConnection) -> IsolationLevel:
        """Return the result of `_get_default_schema_name`."""
        return self._isolation_level

    def _set_backslash_escapes(self, connection: Connection) -> None:
        self._backslash_escapes = self.parameter(connection, "standard_conforming_strings") == "off"
