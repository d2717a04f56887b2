"""Give naive datetimes in Python code their timezone: in FastOpp 0.4.8 they were UTC."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from fastopp.cli.adopt.edits import Source
from fastopp.cli.adopt.renamed import Place

_UTC = Place("datetime", "UTC")
_NOW = Place("fastopp", "utc_now")
_AS_UTC = Place("fastopp.features.adopted.times", "as_utc")
_UTC_TIME = Place("fastopp.features.adopted.times", "UtcTime")

_NAIVE_NOW = frozenset({"now", "utcnow", "today"})
_PARSERS = frozenset({"fromisoformat", "strptime", "combine"})
_ALL_PARTS = 8  # positional arguments of `datetime`, the last is the timezone
_LEAST_PARTS = 3


def fix_times(source: Source, statement: ast.stmt) -> set[Place]:
    """Change the naive datetimes of a statement; return what it needs imported."""
    names = _datetime_names(source.tree)
    needed: set[Place] = set()
    done: set[ast.AST] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Call):
            done.add(node.func)
            needed |= _call(source, node, names)
        elif isinstance(node, ast.Attribute) and node not in done:
            if node.attr in _NAIVE_NOW and ast.unparse(node.value) in names:  # default_factory=datetime.utcnow
                source.replace(node, "utc_now")
                needed.add(_NOW)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            needed |= _annotations(source, [each.annotation for each in node.args.args], names)
        elif isinstance(node, ast.ClassDef) and not _is_table(node):
            fields = [each.annotation for each in node.body if isinstance(each, ast.AnnAssign)]
            needed |= _annotations(source, fields, names)
    return needed


def _datetime_names(tree: ast.Module) -> set[str]:
    """Return the ways in which a module writes the class `datetime`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "datetime":
            names |= {alias.asname or alias.name for alias in node.names if alias.name == "datetime"}
        elif isinstance(node, ast.Import):
            names |= {f"{alias.asname or alias.name}.datetime" for alias in node.names if alias.name == "datetime"}
    return names


def _call(source: Source, node: ast.Call, names: set[str]) -> set[Place]:
    begin, end = source.span(node)
    keywords = {keyword.arg: keyword for keyword in node.keywords}
    if ast.unparse(node.func) in names:
        if "tzinfo" in keywords or len(node.args) >= _ALL_PARTS or len(node.args) + len(keywords) < _LEAST_PARTS:
            return set()
        source.insert(end - 1, ", tzinfo=UTC")
        return {_UTC}
    if not isinstance(node.func, ast.Attribute):
        return set()
    of_datetime, method = ast.unparse(node.func.value) in names, node.func.attr
    if of_datetime and method in _NAIVE_NOW and not node.args and not keywords:
        source.replace(node, "utc_now()")
        return {_NOW}
    if of_datetime and method in ("fromtimestamp", "utcfromtimestamp") and len(node.args) == 1 and not keywords:
        source.replace(node, f"{source.of(node.func.value)}.fromtimestamp({source.of(node.args[0])}, UTC)")
        return {_UTC}
    if of_datetime and method in _PARSERS:
        source.insert(begin, "as_utc(")
        source.insert(end, ")")
        return {_AS_UTC}
    zone = keywords.get("tzinfo")
    if method == "replace" and zone is not None and isinstance(zone.value, ast.Constant) and zone.value.value is None:
        source.replace(zone.value, "UTC")
        return {_UTC}
    return set()


def _annotations(source: Source, annotations: Sequence[ast.expr | None], names: set[str]) -> set[Place]:
    found = [
        node
        for annotation in annotations
        if annotation is not None
        for node in ast.walk(annotation)
        if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in names
    ]
    for node in found:
        source.replace(node, "UtcTime")
    return {_UTC_TIME} if found else set()


def _is_table(node: ast.ClassDef) -> bool:
    return any(keyword.arg == "table" for keyword in node.keywords)
