"""Find the drops among the operations that Alembic generates, and take them out.

What a database has and the models do not know may be a user's own: a column that another program fills, a table of
an app that is away for the moment. A generated migration drops it only when asked to. The same holds for a change of
a column's type that not every value survives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from alembic.operations import ops
from sqlalchemy import Connection, Enum, text
from sqlalchemy.sql.type_api import TypeEngine

from fastopp.database.migrations.snapshot import quote
from fastopp.database.migrations.widening import keeps_every_value


class Difference(NamedTuple):
    """Something that the database has and the models do not know."""

    what: str
    table: str
    column: str | None = None
    """The column whose values are at stake."""
    data: bool = True
    """Dropping it deletes data: not so for an index or a constraint."""

    def __str__(self) -> str:
        return self.what


def find_drops(upgrade: ops.UpgradeOps, *, remove: bool) -> list[Difference]:
    """Return what the operations would drop; with `remove`, take those operations out."""
    tables = {each.table_name for each in upgrade.ops if isinstance(each, ops.DropTableOp)}
    found: list[Difference] = []
    for operation in list(upgrade.ops):
        if isinstance(operation, ops.DropTableOp):
            found.append(Difference(f"table {operation.table_name}", operation.table_name))
            if remove:
                upgrade.ops.remove(operation)
        elif isinstance(operation, ops.ModifyTableOps):
            drops = list(_in_table(operation, remove=remove))
            if operation.table_name not in tables:
                found += drops
            if not operation.ops:
                upgrade.ops.remove(operation)
    return found


def count_rows(connection: Connection, drop: Difference) -> str:
    """Return a drop with the number of rows that lose something, as text."""
    if not drop.data:
        return drop.what
    counted = f"count({quote(drop.column)})" if drop.column else "count(*)"
    rows = connection.scalar(text(f"SELECT {counted} FROM {quote(drop.table)}")) or 0  # noqa: S608 - names are quoted
    return f"{drop.what} ({rows:,} row{'' if rows == 1 else 's'})"


def _in_table(table: ops.ModifyTableOps, *, remove: bool) -> Iterator[Difference]:
    replaced = {key for each in table.ops for key in _keys(each)}
    for operation in list(table.ops):
        drop = _drop(operation, table.table_name)
        if drop is None or replaced.intersection(_keys(operation, dropped=True)):
            continue
        yield drop
        if remove and isinstance(operation, ops.AlterColumnOp):
            operation.modify_type = _with_both(operation.existing_type, operation.modify_type)
            if operation.has_changes():
                continue
        if remove:
            table.ops.remove(operation)


def _drop(operation: ops.MigrateOperation, table: str) -> Difference | None:
    if isinstance(operation, ops.DropColumnOp):
        column = operation.to_column()
        # Without a value for it, no new row can be inserted.
        required = not column.nullable and column.server_default is None and not column.primary_key
        note = ", NOT NULL without a default: new rows cannot be added" if required else ""
        return Difference(f"column {table}.{operation.column_name}{note}", table, operation.column_name)
    if isinstance(operation, ops.DropIndexOp):
        return Difference(f"index {operation.index_name} of {table}", table, data=False)
    if isinstance(operation, ops.DropConstraintOp):
        return Difference(f"constraint {operation.constraint_name or '(unnamed)'} of {table}", table, data=False)
    if isinstance(operation, ops.AlterColumnOp) and operation.modify_type is not None:
        old, new = operation.existing_type, operation.modify_type
        if isinstance(old, Enum) and isinstance(new, Enum) and old.name == new.name:
            gone = ", ".join(each for each in old.enums if each not in new.enums)
            return (
                Difference(f"value {gone} of {table}.{operation.column_name}", table, operation.column_name)
                if gone
                else None
            )
        if isinstance(old, TypeEngine) and not keeps_every_value(old, new):
            what = f"type {old!r} of {table}.{operation.column_name}, in the models {new!r}"
            return Difference(what, table, operation.column_name)
    return None


def _with_both(old: object, new: object) -> Enum | None:
    """Return an Enum with its old values and the new ones, if that is more than it had."""
    if not isinstance(old, Enum) or not isinstance(new, Enum) or old.name != new.name:
        return None
    added = [each for each in new.enums if each not in old.enums]
    return Enum(*old.enums, *added, name=old.name, schema=old.schema) if added else None


def _keys(operation: ops.MigrateOperation, *, dropped: bool = False) -> set[object]:
    """Return what identifies an index or a constraint: its name, or its columns."""
    if dropped and isinstance(operation, (ops.DropIndexOp, ops.DropConstraintOp)):
        operation = operation.reverse()
    elif isinstance(operation, (ops.DropIndexOp, ops.DropConstraintOp)):
        return set()
    if isinstance(operation, ops.CreateIndexOp):
        return {("index", operation.index_name), ("index of", *map(_name, operation.columns))}
    if isinstance(operation, ops.CreateForeignKeyOp):
        return {("foreign key", *operation.local_cols)}
    if isinstance(operation, ops.CreateUniqueConstraintOp):
        return {("unique", operation.constraint_name or tuple(map(str, operation.columns)))}
    if isinstance(operation, ops.CreateCheckConstraintOp):
        return {("check", operation.constraint_name)}
    return set()


def _name(column: object) -> str:
    return str(getattr(column, "name", column))
