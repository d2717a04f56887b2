"""Names for the constraints of a generated migration.

A model that says `unique=True` or `foreign_key="…"` names no constraint. PostgreSQL then makes up a name, SQLite none,
and a constraint without a name can neither be added by a batch migration nor dropped by any. The names here are those
that PostgreSQL makes up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from alembic.operations import ops

MAX_NAME = 63  # bytes; PostgreSQL cuts off the rest


def name_constraints(upgrade: ops.UpgradeOps, downgrade: ops.DowngradeOps) -> None:
    """Name what has no name, and let the downgrade drop it by that name."""
    _name_all(upgrade.ops)
    upgrade.reverse_into(downgrade)


def _name_all(operations: Iterable[ops.MigrateOperation]) -> None:
    for operation in operations:
        if isinstance(operation, ops.OpContainer):
            _name_all(operation.ops)
        elif isinstance(operation, ops.CreateTableOp):
            operation.columns = [_named(operation.table_name, item) for item in operation.columns]
        elif isinstance(operation, ops.CreateUniqueConstraintOp) and operation.constraint_name is None:
            operation.constraint_name = _name(operation.table_name, operation.columns, "key")
        elif isinstance(operation, ops.CreateForeignKeyOp) and operation.constraint_name is None:
            operation.constraint_name = _name(operation.source_table, operation.local_cols, "fkey")


def _named(table: str, item: sa.schema.SchemaItem) -> sa.schema.SchemaItem:
    """The same part of a new table with a name; the model's own part is left as it is."""
    if isinstance(item, sa.UniqueConstraint) and item.name is None:
        columns = [column.name for column in item.columns]
        return sa.UniqueConstraint(*columns, name=_name(table, columns, "key"))
    if isinstance(item, sa.ForeignKeyConstraint) and item.name is None:
        return sa.ForeignKeyConstraint(
            item.column_keys,
            [element.target_fullname for element in item.elements],
            name=_name(table, item.column_keys, "fkey"),
            onupdate=item.onupdate,
            ondelete=item.ondelete,
            deferrable=item.deferrable,
            initially=item.initially,
        )
    return item


def _name(table: str, columns: Sequence[object], kind: str) -> str:
    stem = "_".join([table, *map(str, columns)])
    return f"{stem[: MAX_NAME - len(kind) - 1]}_{kind}"
