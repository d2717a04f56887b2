"""Checks of the models: do their relations fit together?"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.faults import project_faults
from fastopp.checks.source import SourceFile
from fastopp.core.apps import AppError
from fastopp.core.faults import GENERIC
from fastopp.core.mappers import configure_models


@check(
    "fastopp.E502",
    "A Relationship in a module with postponed annotations",
    fix=GENERIC,
    subject=Subject.SOURCE,
)
def postponed_relations(context: CheckContext) -> Iterator[Problem]:
    """SQLModel reads the annotation of a `Relationship`. Postponed, it is a text, and the first query fails."""
    yield from context.once(_postponed)


def _postponed(context: CheckContext) -> list[Problem]:
    return [
        Problem(f"{file.path}, line {line}: the relation `{name}` has a postponed annotation.")
        for file in context.sources
        if any(name == "__future__.annotations" for _, name in file.imports())
        for line, name in _relations(file)
    ]


def _relations(file: SourceFile) -> Iterator[tuple[int, str]]:
    for node in ast.walk(file.tree):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Call):
            called = node.value.func
            if isinstance(called, (ast.Name, ast.Attribute)) and ast.unparse(called).endswith("Relationship"):
                yield node.lineno, node.target.id


@check(
    "fastopp.E503",
    "The models do not fit together",
    fix="Correct the relation that the message names.",
    subject=Subject.SOURCE,
)
def unfit_models(context: CheckContext) -> Iterator[Problem]:
    """A relation names a model that does not exist, or no foreign key connects the two. The first query fails."""
    from fastopp.features.accounts import models as _models  # noqa: PLC0415, F401 - relations may name its User

    if context.once(project_faults) or context.once(_postponed):
        return  # which other checks report
    try:
        configure_models(context.apps)
    except AppError as error:
        yield Problem(error.message, error.hint)
