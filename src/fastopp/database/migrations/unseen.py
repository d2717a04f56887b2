"""Differences that Alembic does not compare, in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Inspector
from sqlalchemy.engine.interfaces import ReflectedColumn


def find_unseen(connection: sa.Connection, models: sa.MetaData) -> list[str]:
    """Return what differs between the models and the tables that are there, beyond what migrations are written for."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    return [each for table in models.sorted_tables if table.name in there for each in _in_table(inspector, table)]


def _in_table(inspector: Inspector, table: sa.Table) -> Iterator[str]:
    found = {each["name"]: each for each in inspector.get_columns(table.name)}
    key = inspector.get_pk_constraint(table.name)["constrained_columns"]
    wanted = [column.name for column in table.primary_key.columns]
    if set(key) != set(wanted):
        yield f"the primary key of {table.name} is {', '.join(key)}, in the models {', '.join(wanted)}"
    for column in table.columns:
        if column.name in found:
            yield from _in_column(found[column.name], column)
    yield from _checks(inspector, table)


def _in_column(found: ReflectedColumn, column: sa.Column[object]) -> Iterator[str]:
    name = f"{column.table.name}.{column.name}"
    if (column.computed is None) != (found.get("computed") is None):
        yield f"{name} is computed in {'the database' if column.computed is None else 'the models'} only"
    elif column.server_default is not None and column.computed is None and column.identity is None:
        argument = getattr(column.server_default, "arg", None)
        literal = str(getattr(argument, "text", argument))
        if not found.get("default"):
            yield f"{name} has a server default in the models only: {literal}"
        elif isinstance(argument, str | sa.TextClause) and _bare(literal) != _bare(str(found["default"])):
            yield f"{name} has the server default {found['default']}, in the models {literal}"


def _checks(inspector: Inspector, table: sa.Table) -> Iterator[str]:
    found = inspector.get_check_constraints(table.name)
    texts = {_bare(each["sqltext"]) for each in found}
    types = [column.type for column in table.columns]
    of_types = {each.name for each in types if isinstance(each, sa.Enum | sa.Boolean) and each.create_constraint}
    for each in table.constraints:
        if not isinstance(each, sa.CheckConstraint) or each.name in of_types:  # a type's own comes with its column
            continue
        text = str(each.sqltext.compile(compile_kwargs={"literal_binds": True}))
        named = [other for other in found if other["name"] == each.name] if each.name else []
        if not each.name and not any(_same(text, other["sqltext"]) for other in found) and _bare(text) not in texts:
            yield f"{table.name} has a CHECK without a name in the models only: {text}. Give it a name"
        elif named and not _same(text, named[0]["sqltext"]):
            yield f"the CHECK {each.name} of {table.name} is {named[0]['sqltext']}, in the models {text}"


def _same(one: str, other: str) -> bool:
    return _bare(one) == _bare(other)


def _bare(sql: str) -> str:
    """Return SQL without what PostgreSQL adds to it, and without quotes and blanks."""
    sql = re.sub(r"::[\w ]+(\(\d+\))?(\[\])?", "", sql)
    return re.sub(r"[\s\"'()]", "", sql).lower()
