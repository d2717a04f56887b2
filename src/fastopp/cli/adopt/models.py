"""The tables: the project's own, and its own columns on FastOpp's."""

from __future__ import annotations

import ast
import dataclasses
from dataclasses import dataclass, field

from fastopp.cli.adopt.edits import Source, first_line
from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.python import Rewriter
from fastopp.cli.adopt.reach import MODELS_MODULE
from fastopp.cli.adopt.renamed import MODELS
from fastopp.cli.adopt.report import Report
from fastopp.database.migrations.adopt import SCHEMA_0_4_8

TABLES = {"User": "users", "AuditLog": "audit_logs", "Product": "products", "WebinarRegistrants": "webinar_registrants"}
DEMO = ("Product", "WebinarRegistrants")


@dataclass
class Tables:
    """The tables of an old project."""

    module: Module
    frameworks: dict[str, ast.ClassDef]
    """The classes on FastOpp's own tables that the project has."""
    columns: dict[str, list[str]] = field(default_factory=dict)
    """The project's own columns of each of them."""

    @property
    def own(self) -> bool:
        """Whether the project has tables or columns beside FastOpp's."""
        classes = [i for i in self.module.own if isinstance(self.module.source.tree.body[i], ast.ClassDef)]
        return bool(classes)

    @property
    def with_demo(self) -> bool:
        """Whether the project has the tables of the demo."""
        return all(name in self.frameworks for name in DEMO)


def find_tables(project: OldProject) -> Tables:
    """Find the framework's tables in models.py, and the project's own columns of them."""
    module = project.modules[MODELS_MODULE]
    classes = {each.name: each for each in module.source.tree.body if isinstance(each, ast.ClassDef)}
    found = {
        name: classes[name] for name, table in TABLES.items() if name in classes and _table(classes[name]) == table
    }
    if not all(name in found for name in DEMO):
        found = {name: node for name, node in found.items() if name not in DEMO}
    own = {
        name: [column for column, each in _own_fields(node) if "Relationship(" not in ast.unparse(each)]
        for name, node in found.items()
    }
    return Tables(module, found, {name: names for name, names in own.items() if names})


def write_models(tables: Tables, rewriter: Rewriter, report: Report) -> str:
    """Return the text of the app's models.py."""
    source = Source(tables.module.source.text)
    begin = source.import_position()
    for name in tables.frameworks:
        place = MODELS[name]
        source.insert(begin, f"from {place.module} import {place.name}{f' as {name}' if place.name != name else ''}\n")
    if any(_own_body(node) for node in tables.frameworks.values()):
        source.insert(begin, "from fastopp.features.adopted.columns import add_columns\n")
    for name, node in tables.frameworks.items():
        own = _own_body(node)
        text = "".join(
            ("\n" if isinstance(each, ast.FunctionDef) else "") + source.lines(first_line(each), each.end_lineno or 0)
            for each in own
        )
        docstring = f'"""The project\'s own columns of `{TABLES[name]}`."""'
        extension = f"class {name}Columns(SQLModel):\n    {docstring}\n\n{text}\n\nadd_columns({name}, {name}Columns)\n"
        source.drop_lines(first_line(node), node.end_lineno or 0)
        if own:
            source.insert(source.begin_of(first_line(node)), extension)
            report.did(
                f"`{name}`: {', '.join(each for each, _ in _own_fields(node)) or 'methods'} added to FastOpp's model."
            )
    return rewriter.rewrite(dataclasses.replace(tables.module, source=Source(source.result())))


def _table(node: ast.ClassDef) -> str | None:
    for each in node.body:
        targets = (
            each.targets if isinstance(each, ast.Assign) else [each.target] if isinstance(each, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__tablename__" for target in targets):
            value = getattr(each, "value", None)
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return node.name.lower()


def _own_fields(node: ast.ClassDef) -> list[tuple[str, ast.AnnAssign]]:
    known = SCHEMA_0_4_8[TABLES[node.name]]
    return [
        (each.target.id, each)
        for each in node.body
        if isinstance(each, ast.AnnAssign)
        and isinstance(each.target, ast.Name)
        and each.target.id not in known | {"__tablename__"}
    ]


def _own_body(node: ast.ClassDef) -> list[ast.stmt]:
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("__")]
    return [*(each for _, each in _own_fields(node)), *methods]
