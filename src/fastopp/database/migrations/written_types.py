"""The types of columns as the project's migrations write them.

SQLite stores an Enum as VARCHAR, an interval as DATETIME and JSONB as JSON: the database alone cannot say what changed.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy.sql.type_api import TypeEngine, to_instance

Types = dict[tuple[str, str], TypeEngine[Any]]
"""By table and column."""

_RENAME = re.compile(r'ALTER TABLE "?(\w+)"? RENAME COLUMN "?(\w+)"? TO "?(\w+)"?', re.IGNORECASE)


def read_types(modules: Iterable[ModuleType]) -> Types:
    """Return the types that a database has after these migrations, as far as their source shows it."""
    types: Types = {}
    for module in modules:
        tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
        reader = _Reader(types, vars(module))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and node.name == "upgrade":
                reader.visit(node)
    return types


def rename_table(types: Types, old: str, new: str) -> None:
    """Move what is known of a table to its new name."""
    for table, column in list(types):
        if table == old:
            types[new, column] = types.pop((table, column))


def rename_column(types: Types, table: str, old: str, new: str) -> None:
    """Move what is known of a column to its new name."""
    if (table, old) in types:
        types[table, new] = types.pop((table, old))


class _Reader(ast.NodeVisitor):
    def __init__(self, types: Types, names: dict[str, Any]) -> None:
        self._types = types
        self._names = names
        self._batches: dict[str, str] = {}

    def visit_With(self, node: ast.With) -> None:
        for item in node.items:
            call, name = item.context_expr, item.optional_vars
            if isinstance(call, ast.Call) and _called(call) == "batch_alter_table" and isinstance(name, ast.Name):
                self._batches[name.id] = _text(call.args)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
            return
        table = self._batches.get(node.func.value.id)
        arguments = list(node.args)
        if table is None:
            table = _text(arguments)
            arguments = arguments[1:]
        keywords = {each.arg: each.value for each in node.keywords}
        match node.func.attr:
            case "create_table" | "add_column":
                for each in arguments:
                    if isinstance(each, ast.Call) and _called(each) == "Column" and len(each.args) > 1:
                        self._set(table, _text(each.args), each.args[1])
            case "alter_column":
                column = _text(arguments)
                if "type_" in keywords:
                    self._set(table, column, keywords["type_"])
                if "new_column_name" in keywords:
                    rename_column(self._types, table, column, _text([keywords["new_column_name"]]))
            case "drop_column":
                self._types.pop((table, _text(arguments)), None)
            case "drop_table":
                for key in [key for key in self._types if key[0] == table]:
                    del self._types[key]
            case "rename_table":
                rename_table(self._types, table, _text(arguments))
            case "execute":
                for renamed in _RENAME.findall(_text(node.args)):
                    rename_column(self._types, *renamed)

    def _set(self, table: str, column: str, source: ast.expr) -> None:
        self._types.pop((table, column), None)
        code = compile(ast.Expression(source), "migration", "eval")
        try:
            found = to_instance(eval(code, dict(self._names)))  # noqa: S307 - the migration's own code, which is run as well
        except (NameError, AttributeError, TypeError, ValueError):
            return  # a name of the function's; the database has to do
        if isinstance(found, TypeEngine):
            self._types[table, column] = found


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _text(arguments: list[ast.expr]) -> str:
    first = arguments[0] if arguments else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
