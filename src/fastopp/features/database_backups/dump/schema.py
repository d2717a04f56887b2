"""The tables of a database as a dump needs them: columns with their kinds, primary keys, what points where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Float,
    Interval,
    MetaData,
    Numeric,
    Time,
    TypeDecorator,
    Uuid,
    inspect,
    text,
)
from sqlalchemy.sql.type_api import TypeEngine

from fastopp.database.framework_tables import is_of_this_database
from fastopp.database.migrations.adopt import VERSION_TABLE
from fastopp.features.database_backups.dump.values import POSTGRESQL_KINDS, limits, sqlite_kind

# attgenerated: computed columns cannot be written. -1: the type without its length, as a cast must name it.
_POSTGRESQL_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, -1), format_type(a.atttypid, a.atttypmod), a.attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relname = :table
AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""

# Tables that CREATE EXTENSION makes and fills.
_OF_EXTENSIONS = """
SELECT c.relname FROM pg_class c JOIN pg_depend d ON d.classid = CAST('pg_class' AS regclass) AND d.objid = c.oid
WHERE d.deptype = 'e' AND c.relkind IN ('r', 'p')
"""


# https://docs.sqlalchemy.org/en/20/core/type_basics.html#sqlalchemy.types.Numeric.params.decimal_return_scale
_DEFAULT_DECIMALS = 10


@dataclass(frozen=True, slots=True)
class Column:
    """A column that can be written."""

    name: str
    kind: str
    """The form of its values in a dump; see values.py."""
    declared: str
    """The database's own name of the type, without a length."""
    full: str = ""
    """The same with its length, its digits or its decimals."""
    nullable: bool = True
    scale: int | None = None
    """Decimals of a numeric on SQLite, where its values do not carry them."""
    uuid: bool = False
    """On SQLite: the model's type is a Uuid."""
    decimals: int | None = None
    """On SQLite: how many decimals SQLAlchemy reads, regardless of the stored value."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A constraint of a table that points to another, or to itself."""

    name: str | None
    table: str
    refers_to: str
    deferrable: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a database."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]


EVIDENCE = "file_evidence"
"""The table of uploaded files that are garbage now, in this database. At another time a row may name them."""


def read_schema(connection: Connection, metadata: MetaData | None = None) -> dict[str, Table]:
    """Every table but Alembic's, extensions', EVIDENCE and those of this database; after those that they point to.

    `metadata` says what SQLite's types do not: which CHAR(32) is a UUID.
    """
    inspector = inspect(connection)
    postgresql = connection.dialect.name == "postgresql"
    read = _postgresql_columns if postgresql else _sqlite_columns
    not_ours = set(connection.scalars(text(_OF_EXTENSIONS))) if postgresql else set()
    found = set(inspector.get_table_names()) - {VERSION_TABLE} - not_ours
    # A job that waits in two databases would be done twice.
    names = sorted(name for name in found if name != EVIDENCE and not is_of_this_database(name))
    tables = {}
    for name in names:
        keys = tuple(
            ForeignKey(key["name"], name, key["referred_table"], bool(key.get("options", {}).get("deferrable")))
            for key in inspector.get_foreign_keys(name)
        )
        primary = tuple(inspector.get_pk_constraint(name)["constrained_columns"])
        tables[name] = Table(name, tuple(read(connection, name, metadata)), primary, keys)
    return _in_order(tables)


def _postgresql_columns(connection: Connection, table: str, _metadata: MetaData | None) -> Iterable[Column]:
    for name, declared, full, required in connection.execute(text(_POSTGRESQL_COLUMNS), {"table": table}).all():
        yield Column(name, POSTGRESQL_KINDS.get(declared, "other"), declared, full, not required)


def _sqlite_columns(connection: Connection, table: str, metadata: MetaData | None) -> Iterable[Column]:
    model = metadata.tables.get(table) if metadata is not None else None
    types = {column.name: column.type for column in model.columns} if model is not None else {}
    rows = connection.execute(
        text('SELECT name, type, hidden, "notnull", pk FROM pragma_table_xinfo(:table)'), {"table": table}
    )
    for name, full, hidden, required, key in rows.all():
        if hidden:  # computed, or of a virtual table
            continue
        declared = re.sub(r"\s*\(.*", "", full).strip().upper()
        type_ = _plain_type(types[name].dialect_impl(connection.dialect)) if name in types else None
        kind = sqlite_kind(declared)
        if isinstance(type_, Uuid):
            kind = "uuid"
        elif isinstance(type_, Interval) and kind == "timestamp":
            kind = "interval"
        elif isinstance(type_, DateTime | Time) and type_.timezone and kind in ("timestamp", "time"):
            kind += "tz"
        _, scale = limits(full)
        nullable = not required or bool(key)
        yield Column(name, kind, declared, full, nullable, scale, isinstance(type_, Uuid), _decimals(type_))


def _decimals(type_: TypeEngine[Any] | None) -> int | None:
    if not isinstance(type_, Numeric) or isinstance(type_, Float) or not type_.asdecimal:
        return None
    given = (type_.decimal_return_scale, type_.scale, _DEFAULT_DECIMALS)
    return next(decimals for decimals in given if decimals is not None)


def _plain_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type behind a project's own, which says how SQLAlchemy writes it."""
    while isinstance(type_, TypeDecorator) and not isinstance(type_, Interval):
        type_ = type_.impl_instance
    return type_


def _in_order(tables: Mapping[str, Table]) -> dict[str, Table]:
    """By what points where, then by name; in a circle by name alone."""
    ordered: dict[str, Table] = {}
    waiting = dict(tables)
    while waiting:
        ready = [name for name, table in waiting.items() if not _needs(table, waiting)]
        for name in ready or [next(iter(waiting))]:
            ordered[name] = waiting.pop(name)
    return ordered


def _needs(table: Table, waiting: Iterable[str]) -> bool:
    return any(key.refers_to != table.name and key.refers_to in waiting for key in table.foreign_keys)


def backward_keys(tables: Mapping[str, Table], order: Sequence[str]) -> list[ForeignKey]:
    """The foreign keys that point to a table which comes later in `order`, or to their own."""
    place = {name: index for index, name in enumerate(order)}
    return [
        key
        for name in order
        for key in tables[name].foreign_keys
        if key.refers_to in place and place[key.refers_to] >= place[name]
    ]
