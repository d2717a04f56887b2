"""Compare the types of columns, with what the migrations say where the database cannot."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic.operations import ops
from sqlalchemy.sql.type_api import TypeEngine

from fastopp.database.migrations.rendered_types import DIALECT, resolve
from fastopp.database.migrations.written_types import Types


def differs(written: TypeEngine[Any] | None, found: TypeEngine[Any], model: TypeEngine[Any]) -> bool | None:
    """Return whether a column's type differs from the model's; None leaves the question to Alembic.

    Parameters
    ----------
    written: the type in the migrations, if it is known.
    found: the type in the database.
    """
    if isinstance(found, sa.Enum) or written is None:  # PostgreSQL knows its Enums; a write by hand is one of them
        written = found
    if isinstance(written, sa.Enum) and isinstance(model, sa.Enum):
        return (written.name, set(written.enums)) != (model.name, set(model.enums))
    if isinstance(written, sa.Enum) or isinstance(model, sa.Enum):
        return None if written is found else True
    return True if written is not found and _on_postgresql(written) != _on_postgresql(model) else None


def know_types(upgrade: ops.UpgradeOps, types: Types) -> None:
    """Put the written types in the place of those that SQLite reports, so that a downgrade restores them everywhere."""
    for index, operation in enumerate(upgrade.ops):
        if isinstance(operation, ops.DropTableOp):
            table = operation.to_table()
            for column in table.columns:
                column.type = types.get((operation.table_name, column.name), column.type)
            upgrade.ops[index] = ops.DropTableOp.from_table(table)
        elif isinstance(operation, ops.ModifyTableOps):
            for each in operation.ops:
                if isinstance(each, ops.DropColumnOp):
                    column = each.to_column()
                    column.type = types.get((operation.table_name, each.column_name), column.type)
                elif isinstance(each, ops.AlterColumnOp):
                    each.existing_type = types.get((operation.table_name, each.column_name), each.existing_type)


def _on_postgresql(type_: TypeEngine[Any]) -> str:
    return resolve(type_, DIALECT).compile(DIALECT)
