"""The routes: the routers that the old main.py included, in its order, and the handlers in main.py itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from fastopp.cli.adopt.edits import first_line
from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.reach import Kept, defined_names
from fastopp.cli.adopt.report import Report

METHODS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "websocket", "api_route"})
MAIN = "main"


class Included(NamedTuple):
    """One `app.include_router(…)` of main.py."""

    module: str
    name: str
    arguments: str
    line: int


def is_handler(statement: ast.stmt) -> bool:
    """Return whether a statement of main.py is a handler, like `@app.get("/")`."""
    return any(
        isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in METHODS
        for each in getattr(statement, "decorator_list", [])
    )


def write_routes(project: OldProject, kept: Kept, app: str, report: Report) -> str:
    """Return the text of routes/__init__.py: one router that includes the others."""
    imports, includes = [], []
    for each in _included(project, report):
        module = project.modules.get(each.module)
        if module is None or each.name not in _defined(module, kept):
            continue
        name = f"{each.module.replace('.', '_')}_{each.name}"
        imports.append(f"from {app}.{each.module} import {each.name} as {name}\n")
        arguments = f", {each.arguments}" if each.arguments else ""
        includes.append(f"router.include_router({name}{arguments})\n")
    if MAIN in kept:
        imports.append(f"from {app}.main import router as main_router\n")
        includes.append("router.include_router(main_router)\n")
    report.did(f"{len(includes)} routers, in the order of main.py.")
    return (
        '"""The routes of the project, in the order of its old main.py."""\n\n'
        "from fastapi import APIRouter, Depends\n\n"
        f"{''.join(imports)}from fastopp.features.adopted.sessions import bind\n\n"
        f"router = APIRouter(dependencies=[Depends(bind)])\n{''.join(includes)}"
    )


def report_rest_of_main(project: OldProject, kept: Kept, report: Report) -> None:
    """Report the project's own statements of main.py that have no place in an app: middleware and the like."""
    module = project.modules[MAIN]
    for index in module.own:
        statement = module.source.tree.body[index]
        text = module.source.of(statement).splitlines()[0]
        if index in kept.get(MAIN, ()) or any("include_router" in ast.unparse(each) for each in [statement]):
            continue
        if isinstance(statement, ast.Try | ast.If) and not set(_calls(statement)):
            continue  # guarded imports
        report.left(module.path, first_line(statement), f"Not carried: `{text[:80]}`")


def _calls(statement: ast.stmt) -> Iterator[str]:
    yield from (ast.unparse(each.func) for each in ast.walk(statement) if isinstance(each, ast.Call))


def _included(project: OldProject, report: Report) -> Iterator[Included]:
    module = project.modules[MAIN]
    tree = module.source.tree
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            target = module.absolute(node)
            imported |= {alias.asname or alias.name: (target, alias.name) for alias in node.names}
    calls = [
        each for each in ast.walk(tree) if isinstance(each, ast.Call) and ast.unparse(each.func) == "app.include_router"
    ]
    for call in sorted(calls, key=lambda each: each.lineno):
        if not call.args:
            continue
        router = call.args[0]
        if isinstance(router, ast.Name) and router.id in imported:
            target, name = imported[router.id]
        elif isinstance(router, ast.Attribute) and isinstance(router.value, ast.Name) and router.value.id in imported:
            target, name = ".".join(imported[router.value.id]), router.attr
        else:
            report.left(module.path, call.lineno, f"Not included: `{ast.unparse(call)}`")
            continue
        plain = [each for each in call.keywords if each.arg in ("prefix", "tags", "include_in_schema")]
        for other in (each for each in call.keywords if each not in plain):
            report.left(module.path, call.lineno, f"Not carried: `{other.arg}` of `include_router`.")
        arguments = ", ".join(f"{each.arg}={ast.unparse(each.value)}" for each in plain)
        yield Included(target, name, arguments, call.lineno)


def _defined(module: Module, kept: Kept) -> set[str]:
    body = module.source.tree.body
    return {name for index in kept.get(module.name, ()) for name in defined_names(body[index])}
