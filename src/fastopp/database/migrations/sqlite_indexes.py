"""Indexes of expressions on SQLite, which SQLAlchemy cannot read back from a table."""

# ruff: noqa: ANN401 - the signatures are Alembic's
from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations import ops
from sqlalchemy import text

_INDEXES = text("""
SELECT m.name, m.sql, EXISTS (SELECT 1 FROM pragma_index_xinfo(m.name) x WHERE x.cid = -2 AND x.key = 1) AS expression
FROM sqlite_master m WHERE m.type = 'index' AND m.tbl_name = :table AND m.sql IS NOT NULL
""")

_COPY = "_alembic_tmp_"


class IndexKeepingImpl(SQLiteImpl):
    """Alembic's implementation for SQLite, which takes this class's place by its dialect's name.

    A batch replaces a table by a copy; this creates the copy's indexes of expressions.
    """

    __dialect__ = "sqlite"

    def drop_table(self, table: sa.Table, **kw: Any) -> None:
        """Drop the table; keep in mind what its copy needs."""
        if self.connection is not None and not self.as_sql:
            rows = self.connection.execute(_INDEXES, {"table": table.name}).all()
            self.memo[f"fastopp indexes of {table.name}"] = [row.sql for row in rows if row.expression]
        super().drop_table(table, **kw)

    def rename_table(self, old_table_name: str, new_table_name: Any, schema: Any = None) -> None:
        """Rename the table; a copy gets the indexes of its original."""
        super().rename_table(old_table_name, new_table_name, schema)
        if old_table_name.startswith(_COPY):
            for statement in self.memo.pop(f"fastopp indexes of {new_table_name}", ()):
                self.execute(text(statement.replace(":", r"\:")))


@contextmanager
def unread_indexes_unsaid() -> Iterator[None]:
    """Leave out the warnings about indexes that `compare_indexes` and `IndexKeepingImpl` care for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*expression-based index")
        yield


def compare_indexes(connection: sa.Connection, models: sa.MetaData, upgrade: ops.UpgradeOps) -> None:
    """Add the indexes of expressions that differ between models and a SQLite database."""
    if connection.dialect.name != "sqlite":
        return
    for table in models.tables.values():
        rows = connection.execute(_INDEXES, {"table": table.name}).all()
        wanted = {str(each.name): each for each in table.indexes if _has_expression(each)}
        found = {row.name: row.sql for row in rows if row.expression or row.name in wanted}
        changes: list[ops.MigrateOperation] = []
        for name, sql in found.items():
            if name not in wanted or _squeezed(sql) != _squeezed(_statement(wanted[name], connection)):
                unique = "UNIQUE" in sql.partition("(")[0].upper()
                old = ops.CreateIndexOp(name, table.name, [text(_expression(sql))], unique=unique)
                changes.append(old.reverse())
        dropped = {each.index_name for each in changes if isinstance(each, ops.DropIndexOp)}
        changes += [
            ops.CreateIndexOp.from_index(index)
            for name, index in wanted.items() if name not in found or name in dropped
        ]  # fmt: skip
        for operation in upgrade.ops:
            if isinstance(operation, ops.ModifyTableOps) and operation.table_name == table.name:
                operation.ops[:] = [each for each in operation.ops if getattr(each, "index_name", None) not in wanted]
        if changes:
            upgrade.ops.append(ops.ModifyTableOps(table.name, changes))
    upgrade.ops[:] = [each for each in upgrade.ops if not isinstance(each, ops.ModifyTableOps) or each.ops]


def _has_expression(index: sa.Index) -> bool:
    return any(not isinstance(each, sa.Column) for each in index.expressions)


def _statement(index: sa.Index, connection: sa.Connection) -> str:
    return str(sa.schema.CreateIndex(index).compile(connection))


def _expression(sql: str) -> str:
    """Return what an index is of: between the first bracket and its end."""
    return sql.partition("(")[2].rpartition(")")[0]


def _squeezed(sql: str) -> str:
    return re.sub(r"[\s\"`]", "", sql).lower()
