"""Operations of generated migrations that Alembic has not, or cannot write."""

from __future__ import annotations

from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy.sql.type_api import TypeEngine

from fastopp.database.migrations.rendered_types import render_type, render_value
from fastopp.database.migrations.snapshot import quote


class RenameTable(ops.MigrateOperation):
    """Rename a table; its rows stay."""

    def __init__(self, old: str, new: str) -> None:
        self.old = old
        self.new = new

    def reverse(self) -> RenameTable:
        """Return the opposite."""
        return RenameTable(self.new, self.old)

    def sql(self) -> str:
        """Return the statement, for either database."""
        return f"ALTER TABLE {quote(self.old)} RENAME TO {quote(self.new)}"


class RenameColumn(ops.MigrateOperation):
    """Rename a column in place: a batch would copy the table, and drop what it cannot read of it."""

    def __init__(self, table: str, old: str, new: str) -> None:
        self.table = table
        self.old = old
        self.new = new

    def reverse(self) -> RenameColumn:
        """Return the opposite."""
        return RenameColumn(self.table, self.new, self.old)

    def sql(self) -> str:
        """Return the statement, for either database."""
        return f"ALTER TABLE {quote(self.table)} RENAME COLUMN {quote(self.old)} TO {quote(self.new)}"


Rename = RenameTable | RenameColumn


class FillRows(ops.MigrateOperation):
    """Give existing rows a value in a column, where they have none."""

    def __init__(
        self, table: str, column: str, type_: TypeEngine[Any], value: object, *, then_required: bool = False
    ) -> None:
        self.table = table
        self.column = column
        self.type = type_
        self.value = value
        self.then_required = then_required
        """Make the column NOT NULL afterwards."""

    def reverse(self) -> FillRows:
        """Return itself, which `without_fills` leaves out: the downgrade drops the column."""
        return self


def without_fills(downgrade: ops.DowngradeOps) -> None:
    """Leave out of the downgrade what has no opposite."""
    downgrade.ops[:] = [each for each in downgrade.ops if not isinstance(each, FillRows)]


@renderers.dispatch_for(RenameTable)
@renderers.dispatch_for(RenameColumn)
def _render_rename(_context: AutogenContext, operation: Rename) -> str:
    return f"op.execute({operation.sql()!r})"


@renderers.dispatch_for(FillRows)
def _render_fill(context: AutogenContext, fill: FillRows) -> list[str]:
    type_ = render_type(fill.type, context.imports)
    value = render_value(fill.type, fill.value, context.imports)
    column = repr(fill.column)
    lines = [
        f"column = sa.column({column}, {type_})",
        f"op.execute(sa.table({fill.table!r}, column).update().where(column.is_(None)).values({{column: {value}}}))",
    ]
    if fill.then_required:
        lines += [
            f"with op.batch_alter_table({fill.table!r}) as batch_op:",
            f"    batch_op.alter_column({column}, existing_type={type_}, nullable=False)\n",
        ]
    return lines
