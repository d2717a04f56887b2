"""The project's own code, and what it needs of the code around it.

A module of FastOpp's that the project extended is carried without the rest; a service of FastOpp's that the project's
own code calls is carried with it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.renamed import is_renamed

MODELS_MODULE = "models"
"""It is carried as a whole, by models.py."""

Kept = dict[str, set[int]]
"""The statements to carry, by module and index."""


def own_code(project: OldProject, is_root: Callable[[Module, ast.stmt], bool]) -> Kept:
    """Return the statements that `is_root` chooses among the project's own, and those that they need."""
    kept: Kept = defaultdict(set)
    waiting = [
        (module, index)
        for module in project.modules.values()
        if not module.is_frameworks and module.name != MODELS_MODULE
        for index in (range(len(module.source.tree.body)) if module.is_own else module.own)
        if is_root(module, module.source.tree.body[index])
    ]
    models = project.modules[MODELS_MODULE]
    for index in models.own:
        waiting += _imported(project, models, models.source.tree.body[index])
    while waiting:
        module, index = waiting.pop()
        if index in kept[module.name]:
            continue
        kept[module.name].add(index)
        statement = module.source.tree.body[index]
        names = used_names(statement) - ({"app"} if module.name == "main" else set())
        waiting += [(module, each) for each in _definitions(module, names)]
        waiting += _imported(project, module, statement)
    for name in kept:
        _keep_headings(project.modules[name], kept[name])
    return {name: indexes for name, indexes in kept.items() if indexes}


def used_names(node: ast.AST) -> set[str]:
    """Return the names that code uses, those in quoted annotations included."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    texts = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    return names | {text for text in texts if text.isidentifier()}


def defined_names(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a top-level statement defines, also inside `try` and `if`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _definitions(module: Module, names: Iterable[str]) -> list[int]:
    wanted = set(names)
    return [i for i, each in enumerate(module.source.tree.body) if wanted & set(defined_names(each))]


def _imported(project: OldProject, module: Module, statement: ast.stmt) -> Iterator[tuple[Module, int]]:
    """Yield the statements of other modules that a statement's imports need."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _all_of(project.modules.get(alias.name))
        elif isinstance(node, ast.ImportFrom):
            target = module.absolute(node)
            for alias in node.names:
                if is_renamed(target, alias.name) or target == MODELS_MODULE:
                    continue
                yield from _all_of(project.modules.get(f"{target}.{alias.name}"))
                source = project.modules.get(target)
                if source and alias.name == "*":
                    yield from _all_of(source)
                elif source:
                    yield from ((source, index) for index in _definitions(source, [alias.name]))


def _all_of(module: Module | None) -> Iterator[tuple[Module, int]]:
    if module is not None and module.name != MODELS_MODULE:
        yield from ((module, index) for index in range(len(module.source.tree.body)))


def _keep_headings(module: Module, indexes: set[int]) -> None:
    for index, statement in enumerate(module.source.tree.body):
        docstring = index == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if docstring or future:
            indexes.add(index)
