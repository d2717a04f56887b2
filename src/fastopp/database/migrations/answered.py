"""Find what a generated migration has to ask, and put the answers into its operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic.operations import ops

from fastopp.database.migrations import written_types
from fastopp.database.migrations.operations import FillRows, Rename, RenameColumn, RenameTable
from fastopp.database.migrations.questions import (
    AnswerRefused,
    Answers,
    FillQuestion,
    Question,
    RenameQuestion,
    parse_value,
)
from fastopp.database.migrations.widening import keeps_every_value


def rename_first(connection: sa.Connection, answers: Answers, types: written_types.Types) -> list[Rename]:
    """Rename in the database what was renamed in the models, so that the comparison finds only what is left.

    The caller rolls it back. Raises AnswerRefused.
    """
    renames: list[Rename] = []
    # Tables first: a column's new table name is the one that the models know.
    for old, new in sorted(answers.renamed.items(), key=lambda each: "." in each[0]):
        table, _, column = old.rpartition(".")
        inspector = sa.inspect(connection)
        known = inspector.has_table(table or column)
        if not known or (table and column not in {each["name"] for each in inspector.get_columns(table)}):
            raise AnswerRefused(
                f"The database has no {old}.", hint="`--rename` takes the old name first: `shop_books.name=title`."
            )
        if new in ({each["name"] for each in inspector.get_columns(table)} if table else inspector.get_table_names()):
            raise AnswerRefused(f"{old} cannot become {new}, which is there already.", hint="Look at `migrate check`.")
        if table:
            written_types.rename_column(types, table, column, new)
            renames.append(RenameColumn(table, column, new))
        else:
            written_types.rename_table(types, old, new)
            renames.append(RenameTable(old, new))
        connection.execute(sa.text(renames[-1].sql()))
    return renames


def answer(upgrade: ops.UpgradeOps, answers: Answers, models: sa.MetaData) -> list[Question]:
    """Fill existing rows where the answer is known; return the questions that are left."""
    left: list[Question] = [each for each in _renames(upgrade) if not answers.settles(each)]
    filled: list[ops.MigrateOperation] = []
    for operation in upgrade.ops:
        if not isinstance(operation, ops.ModifyTableOps):
            filled.append(operation)
            continue
        before: list[ops.MigrateOperation] = []
        after: list[ops.MigrateOperation] = []
        for each in operation.ops:
            if (column := _filled(each, models)) is None:
                continue
            name = f"{operation.table_name}.{column.name}"
            question = FillQuestion(name, unique=_is_unique(operation, column))
            if name in answers.fills:
                value: object = parse_value(name, column.type, answers.fills[name])
            elif isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
                value = column.default.arg
            elif column.nullable:
                continue
            else:
                left.append(question)
                continue
            if value is None:
                continue
            fill = FillRows(operation.table_name, str(column.name), column.type, value)
            if isinstance(each, ops.AddColumnOp):
                fill.then_required = not column.nullable
                # The model's own stays as it is. Its index and its constraints are separate operations.
                each.column = sa.Column(column.name, column.type, nullable=True, comment=column.comment)
                after.append(fill)
            else:
                before.append(fill)
        filled += [*before, operation, *after]
    upgrade.ops[:] = filled
    return left


def _filled(operation: ops.MigrateOperation, models: sa.MetaData) -> sa.Column[Any] | None:
    """Return the column that existing rows need a value for, or that has a default for them."""
    if isinstance(operation, ops.AddColumnOp):
        column = operation.column
        if column.server_default is not None or column.computed is not None or column.identity is not None:
            return None
        return column
    if isinstance(operation, ops.AlterColumnOp) and operation.modify_nullable is False:
        return models.tables[operation.table_name].columns[operation.column_name]
    return None


def _is_unique(table: ops.ModifyTableOps, column: sa.Column[Any]) -> bool:
    named = {
        tuple(str(getattr(part, "name", part)) for part in each.columns)
        for each in table.ops
        if isinstance(each, ops.CreateUniqueConstraintOp) or (isinstance(each, ops.CreateIndexOp) and each.unique)
    }
    return bool(column.unique) or (str(column.name),) in named


def _renames(upgrade: ops.UpgradeOps) -> Iterator[RenameQuestion]:
    yield from _renamed_tables(upgrade)
    for table in upgrade.ops:
        if not isinstance(table, ops.ModifyTableOps):
            continue
        dropped = [each.to_column() for each in table.ops if isinstance(each, ops.DropColumnOp)]
        added = [each.column for each in table.ops if isinstance(each, ops.AddColumnOp)]
        for old in dropped:
            for new in added:
                if keeps_every_value(old.type, new.type):
                    yield RenameQuestion(f"{table.table_name}.{old.name}", str(new.name))


def _renamed_tables(upgrade: ops.UpgradeOps) -> Iterator[RenameQuestion]:
    """Yield the dropped tables that have the columns of a new one."""
    created = {each.table_name: each.to_table() for each in upgrade.ops if isinstance(each, ops.CreateTableOp)}
    for each in upgrade.ops:
        if isinstance(each, ops.DropTableOp):
            names = {column.name for column in each.to_table().columns}
            for name, table in created.items():
                if names == {column.name for column in table.columns}:
                    yield RenameQuestion(each.table_name, name)
