"""Checks of the project's templates: syntax, filters, includes, missing files, and names that no handler gives."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.source import SourceFile
from fastopp.settings import load_settings

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

# What `render` gives every page, beside the environment's globals; a test compares it with `page_context`.
GIVEN: Final = frozenset({
    "request", "user", "maybe_signed_in", "path", "navigation", "csrf_token", "csrf_field", "csrf_wanted", "csp_nonce",
    "active", "query", "ui", "icon", "language",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Template:
    """A template of the project that can be parsed."""

    name: str
    file: str
    tree: nodes.Template


@check(
    "fastopp.E506",
    "A template cannot be rendered",
    fix="Correct the line that the message names.",
    subject=Subject.SOURCE,
)
def template_syntax(context: CheckContext) -> Iterator[Problem]:
    """It has a syntax error, or uses a filter, a test or another template that does not exist."""
    environment = _environment(context)
    names = frozenset(environment.list_templates())
    for found in context.once(_read_all):
        if isinstance(found, Problem):
            yield found
        else:
            yield from _unknown(environment, names, found)


@check(
    "fastopp.E507",
    "A template uses a name that its handler does not give",
    fix="Add the name to the dictionary of `render`, or correct it in the template.",
    subject=Subject.SOURCE,
)
def template_names(context: CheckContext) -> Iterator[Problem]:
    """The page fails when it is opened. Only calls of `render` with a literal dictionary are looked at."""
    environment = _environment(context)
    templates: dict[str, Template] = {}
    for found in context.once(_read_all):
        if isinstance(found, Template):
            templates.setdefault(found.name, found)
    for file in context.sources:
        for call, name, given in _renders(file):
            if name in templates:
                for line, unknown in _undeclared(environment, templates[name], given):
                    close = get_close_matches(unknown, given | GIVEN, n=1)
                    where = f"{templates[name].file}, line {line}"
                    message = f"{where}: `{unknown}` is not given by {file.path}, line {call.lineno}."
                    yield Problem(message, f"Did you mean `{close[0]}`?" if close else None)


@check(
    "fastopp.E508",
    "A handler renders a template that does not exist",
    fix="Write the file into the app's `templates` folder, or correct the name in the call of `render`.",
    subject=Subject.SOURCE,
)
def rendered_templates(context: CheckContext) -> Iterator[Problem]:
    """The page fails when it is opened. Only calls of FastOpp's `render` with a literal name are looked at."""
    names = frozenset(_environment(context).list_templates())
    for file in context.sources:
        if not any(name.startswith("fastopp.") and name.endswith(".render") for _, name in file.imports()):
            continue
        for call, name in _named(file):
            if name not in names:
                close = get_close_matches(name, names, n=1)
                message = f"{file.path}, line {call.lineno}: there is no template {name}."
                yield Problem(message, f"Did you mean {close[0]}?" if close else None)


def _environment(context: CheckContext) -> Environment:
    from fastopp.web.templating import Templates  # noqa: PLC0415 - imports FastAPI

    folders = [context.folder / "templates", *(app.templates_dir for app in context.apps if app.templates_dir)]
    return Templates(load_settings({}, env_file=Path("/nonexistent")), folders).environment


def _files(context: CheckContext) -> Iterator[tuple[str, Path]]:
    """Yield the name and the path of each template of the project."""
    for folder in (context.folder / "templates", *(app.templates_dir for app in context.apps if app.templates_dir)):
        for path in sorted(folder.rglob("*.html")):
            yield path.relative_to(folder).as_posix(), path
        for path in sorted(folder.rglob("*.txt")):  # of mails
            yield path.relative_to(folder).as_posix(), path


def _read_all(context: CheckContext) -> tuple[Template | Problem, ...]:
    """Return each template of the project, or what is wrong with its syntax."""
    environment = _environment(context)
    return tuple(_read(environment, context, name, path) for name, path in _files(context))


def _read(environment: Environment, context: CheckContext, name: str, path: Path) -> Template | Problem:
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - 70 ms

    file = (path.relative_to(context.folder) if path.is_relative_to(context.folder) else path).as_posix()
    try:
        source = path.read_text(encoding="utf-8")
        tree = environment.parse(source, name, str(path))
        environment.compile(tree, name, str(path))
    except TemplateSyntaxError as error:
        return Problem(f"{file}, line {error.lineno}: {error.message}")
    except UnicodeDecodeError:
        return Problem(f"{file} is not UTF-8.", "Save it with this encoding.")
    return Template(name, file, tree)


def _unknown(environment: Environment, names: frozenset[str], template: Template) -> Iterator[Problem]:
    from jinja2 import nodes  # noqa: PLC0415 - 70 ms

    for node in template.tree.find_all((nodes.Filter, nodes.Test)):
        kind, known = ("filter", environment.filters) if isinstance(node, nodes.Filter) else ("test", environment.tests)
        if node.name not in known:
            yield Problem(f"{template.file}, line {node.lineno}: there is no {kind} `{node.name}`.")
    for line, wanted in _wanted(template.tree):
        if wanted not in names:
            close = get_close_matches(wanted, names, n=1)
            hint = f"Did you mean {close[0]}?" if close else None
            yield Problem(f"{template.file}, line {line}: there is no template {wanted}.", hint)


def _wanted(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    """Yield the line and name of each template that must exist for this one."""
    from jinja2 import nodes  # noqa: PLC0415 - 70 ms

    for node in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
        wanted = getattr(node, "template", None)
        ignores = isinstance(node, nodes.Include) and node.ignore_missing
        if isinstance(wanted, nodes.Const) and isinstance(wanted.value, str) and not ignores:
            yield node.lineno, wanted.value


def _named(file: SourceFile) -> Iterator[tuple[ast.Call, str]]:
    """Yield the calls of `render` whose template is literal, with its name."""
    for call in file.calls():
        if not isinstance(call.func, ast.Name) or call.func.id != "render" or not 2 <= len(call.args) <= 3:
            continue
        name = call.args[1]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield call, name.value


def _renders(file: SourceFile) -> Iterator[tuple[ast.Call, str, frozenset[str]]]:
    """Yield the calls of `render` whose template and dictionary are literal, with the dictionary's keys."""
    for call, name in _named(file):
        given = call.args[2] if len(call.args) == 3 else ast.Dict([], [])
        computed = any(keyword.arg in ("context", "name", None) for keyword in call.keywords)
        if computed or not isinstance(given, ast.Dict):
            continue
        keys = [key.value for key in given.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
        if len(keys) == len(given.keys):
            yield call, name, frozenset(keys)


def _undeclared(environment: Environment, template: Template, given: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield the line and name of what a template uses but does not have."""
    from jinja2 import meta, nodes  # noqa: PLC0415 - 70 ms

    used = meta.find_undeclared_variables(template.tree) - given - GIVEN - environment.globals.keys()
    asked = {
        node.node.name
        for node in template.tree.find_all((nodes.Test, nodes.Filter))
        if node.name in ("defined", "undefined", "default", "d") and isinstance(node.node, nodes.Name)
    }
    for name in sorted(used - asked):
        lines = [node.lineno for node in template.tree.find_all(nodes.Name) if node.name == name]
        yield min(lines, default=1), name
