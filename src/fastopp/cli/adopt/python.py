"""Rewrite the Python code of an old project: its imports, its times, its sessions."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastopp.cli.adopt.edits import Source, first_line
from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.renamed import Place, place_now
from fastopp.cli.adopt.report import Report
from fastopp.cli.adopt.times import fix_times

# What FastOpp 0.4.8 kept in the session of a signed-in user.
SESSION_KEYS = frozenset(
    {"is_authenticated", "is_superuser", "is_staff", "user_id", "user_email", "group", "can_manage_webinars"}
)


@dataclass
class Rewriter:
    """Rewrites the modules of one project into the package of an app."""

    project: OldProject
    app: str
    report: Report
    externals: set[str] = field(default_factory=set)
    """Top-level packages that the carried code imports from elsewhere."""

    def rewrite(
        self,
        module: Module,
        kept: Iterable[int] | None = None,
        *,
        replace: dict[str, str] | None = None,
        prelude: str = "",
    ) -> str:
        """Return a module's new text: the statements `kept`, or all.

        Parameters
        ----------
        replace: names of top-level objects by their new name, like `app` by `router`.
        prelude: what to put before the first statement that is no import; it may use `APIRouter`.
        """
        source = Source(module.source.text)
        whole = kept is None or len(set(kept)) == len(source.tree.body)
        if kept is not None and not whole:
            _keep_only(source, [source.tree.body[index] for index in sorted(kept)])
            source = Source(source.result())
        body = source.tree.body
        added: set[Place] = set()
        for statement in body:
            for node in ast.walk(statement):
                self._node(module, source, node, added, replace or {})
            added |= fix_times(source, statement)
        if prelude:
            added.add(Place("fastapi", "APIRouter"))
            first = next(each for each in body if not isinstance(each, ast.Import | ast.ImportFrom | ast.Expr))
            source.insert(source.begin_of(_with_comments(source, first)), prelude)
        lines = [f"from {place.module} import {place.name}\n" for place in sorted(added)]
        source.insert(source.import_position(), "".join(lines))
        return _tidy(source.result())

    def _node(
        self,
        module: Module,
        source: Source,
        node: ast.AST,
        added: set[Place],
        replace: dict[str, str],
    ) -> None:
        if isinstance(node, ast.ImportFrom | ast.Import):
            self._import(module, source, node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Jinja2Templates":
            source.replace(node, f'Jinja2Templates("{self.app}")')
        elif (key := _session_key(node)) is not None:
            assert isinstance(node, ast.expr)  # noqa: S101 - as _session_key has looked
            default = f", {source.of(node.args[1])}" if isinstance(node, ast.Call) and len(node.args) > 1 else ""
            source.replace(node, f'session_value(request, "{key}"{default})')
            added.add(Place("fastopp.features.adopted.accounts", "session_value"))
        elif isinstance(node, ast.Name) and node.id in replace:
            source.replace(node, replace[node.id])

    def _import(self, module: Module, source: Source, node: ast.Import | ast.ImportFrom) -> None:
        indent = " " * node.col_offset
        lines: dict[str, list[str]] = {}
        for alias in node.names:
            bound = (alias.asname or alias.name).partition(".")[0]
            for begin, name in self._import_one(module, node, alias, bound):
                lines.setdefault(begin, []).append(name)
        text = f"\n{indent}".join(f"{begin} {', '.join(names)}" for begin, names in lines.items())
        if text != source.of(node) and not _same_import(text, source.of(node)):
            source.replace(node, text or "pass" if indent else text)

    def _import_one(
        self, module: Module, node: ast.Import | ast.ImportFrom, alias: ast.alias, bound: str
    ) -> Iterable[tuple[str, str]]:
        renamed = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
        if isinstance(node, ast.Import):
            if alias.name not in self.project.modules and bound not in self.project.modules:
                self.externals.add(alias.name.partition(".")[0])
                yield "import", renamed
            elif alias.asname:
                yield "import", f"{self.app}.{renamed}"
            elif "." in alias.name:
                yield "import", f"{self.app}.{alias.name}"
                yield f"from {self.app} import", bound
            else:
                yield f"from {self.app} import", alias.name
                self._replaced(module, alias.name)
            return
        target = module.absolute(node)
        place = place_now(target, alias.name)
        if place is not None:
            same = place.name == bound
            yield f"from {place.module} import", place.name if same else f"{place.name} as {bound}"
        elif target.partition(".")[0] in self._tops or not target:
            yield f"from {self.app}{'.' if target else ''}{target} import", renamed
        else:
            self.externals.add(target.partition(".")[0])
            yield f"from {target} import", renamed

    @property
    def _tops(self) -> set[str]:
        return {name.partition(".")[0] for name in self.project.modules}

    def _replaced(self, module: Module, name: str) -> None:
        if self.project.modules[name].is_frameworks:
            lines = module.source.text.splitlines()
            line = next((number for number, text in enumerate(lines, 1) if text.strip() == f"import {name}"), 0)
            self.report.left(module.path, line, f"`{name}` is replaced by the framework; import what you use from it.")


def _session_key(node: ast.AST) -> str | None:
    """Return the key of `request.session.get("key")` or `request.session["key"]`, read, if it is FastOpp's."""
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func) == "request.session.get":
        key: ast.expr = node.args[0]
    elif (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and ast.unparse(node.value) == "request.session"
    ):
        key = node.slice
    else:
        return None
    found = key.value if isinstance(key, ast.Constant) else None
    return found if isinstance(found, str) and found in SESSION_KEYS else None


def _same_import(one: str, other: str) -> bool:
    return ast.dump(ast.parse(one)) == ast.dump(ast.parse(other))


def _with_comments(source: Source, statement: ast.stmt) -> int:
    """Return the first of the comment lines directly above a statement."""
    line = first_line(statement)
    while line > 1 and source.lines(line - 1, line - 1).startswith("#"):
        line -= 1
    return line


def _keep_only(source: Source, statements: list[ast.stmt]) -> None:
    """Drop all lines but those of some statements, their comments, and the blank lines before them."""
    at = 1
    for statement in statements:
        first = _with_comments(source, statement)
        while first > at and not source.lines(first - 1, first - 1).strip():
            first -= 1
        if first > at:
            source.drop_lines(at, first - 1)
        at = (statement.end_lineno or 0) + 1
    if at <= source.last_line:
        source.drop_lines(at, source.last_line)


def _tidy(text: str) -> str:
    while "\n\n\n\n" in text:
        text = text.replace("\n\n\n\n", "\n\n\n")
    return text.strip("\n") + "\n"
