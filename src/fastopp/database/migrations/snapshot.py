"""The columns of every table in a database, as they are at one moment of a migration."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, event, text

from fastopp.database.migrations.adopt import VERSION_TABLE

# Ordinary tables of every schema; partitions stand for the table they are part of. A generated column holds no
# stored data. A table's number and its columns' numbers survive every change of a name.
_POSTGRESQL = text("""
SELECT CAST(CAST(c.oid AS regclass) AS text), a.attname, format_type(a.atttypid, a.atttypmod),
EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
c.oid, a.attnum
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND c.relname <> :version
AND n.nspname <> 'information_schema' AND NOT starts_with(CAST(n.nspname AS text), 'pg_')
ORDER BY c.oid, a.attnum
""")

_SQLITE = text("""
SELECT m.name, p.name, p.type, p.pk > 0
FROM sqlite_master m JOIN pragma_table_xinfo(m.name) p
WHERE m.type = 'table' AND p.hidden = 0 AND substr(m.name, 1, 7) <> 'sqlite_' AND m.name <> :version
ORDER BY m.name, p.cid
""")


class Column(NamedTuple):
    """A column that holds data."""

    table: str
    """The table, quoted where SQL needs it."""
    name: str
    type: str
    key: bool
    """The column is part of the primary key."""
    identity: tuple[Any, ...]
    """The same column has the same identity before and after a migration."""

    @property
    def sql(self) -> str:
        """The column's name, quoted."""
        return quote(self.name)


def quote(name: str) -> str:
    """Return a name as SQL for `text()`, in which a colon has a meaning."""
    return '"' + name.replace('"', '""').replace(":", r"\:") + '"'


def read_columns(connection: Connection) -> list[Column]:
    """Return every column of every table but Alembic's."""
    if connection.dialect.name == "postgresql":
        rows = connection.execute(_POSTGRESQL, {"version": VERSION_TABLE}).all()
        return [Column(table.replace(":", r"\:"), name, type_, key, (oid, number))
                for table, name, type_, key, oid, number in rows]  # fmt: skip
    rows = connection.execute(_SQLITE, {"version": VERSION_TABLE}).all()
    return [Column(quote(table), name, type_.upper(), bool(key), (table, name)) for table, name, type_, key in rows]


@contextmanager
def tables_in_drops(connection: Connection, tables: set[str]) -> Iterator[set[str]]:
    """Collect those of `tables` that a DROP within the context names, on SQLite.

    SQLite has no numbers that distinguish a table from a new one with the same name.
    """
    found: set[str] = set()

    def look(
        _connection: Connection, _cursor: object, statement: str, _parameters: object, _context: object, _many: object
    ) -> None:
        if "drop" in (lower := statement.lower()):
            found.update(table for table in tables if table.strip('"').lower() in lower)

    if connection.dialect.name == "postgresql":
        yield found
        return
    event.listen(connection, "before_cursor_execute", look)
    try:
        yield found
    finally:
        event.remove(connection, "before_cursor_execute", look)
