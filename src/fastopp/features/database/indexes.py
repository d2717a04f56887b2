"""Find the indexes that a database lacks, and those that are not used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, Engine, MetaData, UniqueConstraint, inspect, text
from sqlalchemy.engine.reflection import Inspector

from fastopp.database.framework_tables import QUEUE_PREFIX

Reason = Literal["foreign key", "order", "filter", "not finished"]

MAX_NAME = 63  # bytes of a name on PostgreSQL

_SQLITE_INDEXES = text("""
SELECT info.name AS column_name, list.name AS name
FROM pragma_index_list(:table) AS list, pragma_index_info(list.name) AS info
WHERE list.partial = 0 ORDER BY list.name, info.seqno
""")
_POSTGRESQL_UNUSED = text("""
SELECT used.relname AS "table", used.indexrelname AS name, pg_relation_size(used.indexrelid) AS bytes
FROM pg_stat_user_indexes AS used JOIN pg_index AS kind USING (indexrelid)
WHERE used.idx_scan = 0 AND NOT kind.indisunique AND kind.indisvalid AND used.schemaname = current_schema()
ORDER BY bytes DESC, name
""")
_POSTGRESQL_INVALID = text("""
SELECT tables.relname AS "table", indexes.relname AS name FROM pg_index AS kind
JOIN pg_class AS indexes ON indexes.oid = kind.indexrelid JOIN pg_class AS tables ON tables.oid = kind.indrelid
WHERE NOT kind.indisvalid AND tables.relnamespace = current_schema()::regnamespace
""")


class MissingIndex(NamedTuple):
    """An index that a database should have."""

    table: str
    columns: tuple[str, ...]
    reason: Reason

    @property
    def name(self) -> str:
        """The name that SQLAlchemy gives an index of `index=True`, cut to what PostgreSQL takes."""
        name = f"ix_{self.table}_{'_'.join(self.columns)}"
        if len(name.encode()) <= MAX_NAME:
            return name
        return f"{name[: MAX_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class UnusedIndex(NamedTuple):
    """An index that no statement has used since the statistics were last reset."""

    table: str
    name: str
    bytes: int


class Wish(NamedTuple):
    """A column that a list is sorted or filtered by."""

    table: str
    column: str
    reason: Reason


class Findings(NamedTuple):
    """The result of looking at a database."""

    missing: tuple[MissingIndex, ...]
    unused: tuple[UnusedIndex, ...]
    """Empty on SQLite, which does not count."""
    unfinished: tuple[str, ...]
    """Names of indexes whose creation was interrupted. PostgreSQL maintains them, and does not use them."""


def find_indexes(connection: Connection, wishes: Iterable[Wish] = ()) -> Findings:
    """Look at every foreign key of the database, and at the columns that lists are sorted and filtered by."""
    inspector = inspect(connection)
    missing: dict[tuple[str, tuple[str, ...]], MissingIndex] = {}
    wanted = list(wishes)
    on_postgresql = connection.dialect.name == "postgresql"
    invalid = tuple(row.name for row in connection.execute(_POSTGRESQL_INVALID)) if on_postgresql else ()
    for table in sorted(inspector.get_table_names()):
        if table.startswith(QUEUE_PREFIX):  # procrastinate's own affair
            continue
        known = _indexed(connection, inspector, table, invalid)
        for key in inspector.get_foreign_keys(table):
            columns = tuple(key["constrained_columns"])
            if not any(set(each[: len(columns)]) == set(columns) for each in known):
                missing.setdefault((table, columns), MissingIndex(table, columns, "foreign key"))
        for wish in wanted:
            if wish.table == table and not any(each[0] == wish.column for each in known):
                missing.setdefault((table, (wish.column,)), MissingIndex(table, (wish.column,), wish.reason))
    used_by_nobody = connection.execute(_POSTGRESQL_UNUSED) if on_postgresql else ()
    unused = tuple(UnusedIndex(*row) for row in used_by_nobody if not row.table.startswith(QUEUE_PREFIX))
    return Findings(tuple(missing.values()), unused, invalid)


def admin_wishes(views: Iterable[Any]) -> list[Wish]:
    """Return the columns that views of the admin are sorted by at first, and that they filter by."""
    wishes = []
    for view in views:
        model = getattr(view, "model", None)
        if model is None:
            continue
        mapper = inspect(model)
        table, columns = str(mapper.local_table.name), mapper.columns
        order = getattr(view, "column_default_sort", None) or []
        for each in order if isinstance(order, list) else [order]:
            name = each[0] if isinstance(each, tuple) else each
            name = getattr(name, "key", name)
            if name in columns:
                wishes.append(Wish(table, columns[name].name, "order"))
                break  # an index begins with the first
        for each in getattr(view, "column_filters", ()):
            name = getattr(each, "column", None)
            name = getattr(name, "key", name)
            if name in columns:
                wishes.append(Wish(table, columns[name].name, "filter"))
    return wishes


def create_statements(engine: Engine, missing: Sequence[MissingIndex], unfinished: Sequence[str]) -> list[str]:
    """Return the statements that build indexes without keeping any client from writing, one transaction each.

    PostgreSQL does so with CONCURRENTLY, which no transaction with other statements may contain. SQLite has one writer.
    """
    quote = engine.dialect.identifier_preparer.quote
    concurrently = "CONCURRENTLY " if engine.dialect.name == "postgresql" else ""
    statements = [f"DROP INDEX {concurrently}IF EXISTS {quote(name)}" for name in unfinished]
    for index in missing:
        columns = ", ".join(quote(column) for column in index.columns)
        statements.append(
            f"CREATE INDEX {concurrently}IF NOT EXISTS {quote(index.name)} ON {quote(index.table)} ({columns})"
        )
    return statements


def models_without_index(metadata: MetaData) -> list[MissingIndex]:
    """Return the foreign keys of models that no index, primary key or unique constraint begins with."""
    missing = []
    for table in metadata.tables.values():
        known = [[column.name for column in table.primary_key.columns]]
        known += [[getattr(each, "name", "") for each in index.expressions] for index in table.indexes]
        known += [list(each.columns.keys()) for each in table.constraints if isinstance(each, UniqueConstraint)]
        for key in table.foreign_key_constraints:
            columns = tuple(key.column_keys)
            if not any(set(each[: len(columns)]) == set(columns) for each in known):
                missing.append(MissingIndex(table.name, columns, "foreign key"))
    return missing


def _indexed(
    connection: Connection, inspector: Inspector, table: str, invalid: Sequence[str]
) -> list[list[str | None]]:
    """The columns of each index of a table, the primary key and unique constraints among them; None: an expression."""
    known: list[list[str | None]] = [list(inspector.get_pk_constraint(table)["constrained_columns"])]
    if connection.dialect.name == "sqlite":  # SQLAlchemy does not read those with expressions there
        by_name: dict[str, list[str | None]] = {}
        for row in connection.execute(_SQLITE_INDEXES, {"table": table}):
            by_name.setdefault(row.name, []).append(row.column_name)
        return [each for each in (*known, *by_name.values()) if each]
    known += [
        list(index["column_names"])
        for index in inspector.get_indexes(table)
        if index["name"] not in invalid and not index.get("dialect_options", {}).get("postgresql_where")
    ]
    known += [list(each["column_names"]) for each in inspector.get_unique_constraints(table)]
    return [each for each in known if each]
