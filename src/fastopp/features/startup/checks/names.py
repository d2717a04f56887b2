"""Checks of the names of variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.settings.names import known_names, misspelled

_LOOK: Final = "docs/settings.md lists the framework's settings, and an app's settings.py its own."


@check(
    "fastopp.W011",
    "A variable seems to be misspelled",
    fix="Correct the name.",
    subject=Subject.SETTINGS,
)
def misspelled_variables(context: CheckContext) -> Iterator[Problem]:
    """The setting that was meant keeps its default."""
    for name, meant in misspelled(context.names, context.app_settings).items():
        yield Problem(f"{name} is not a setting.", f"Did you mean {meant}?")


@check(
    "fastopp.I012",
    "A name in the file of settings is unknown",
    fix=f"Remove it, or correct its name: {_LOOK}",
    subject=Subject.SETTINGS,
)
def unknown_variables(context: CheckContext) -> Iterator[Problem]:
    """FastOpp and the apps do not read it."""
    close = misspelled(context.names, context.app_settings)
    for name in context.variables:
        if name.lower() not in known_names(context.app_settings) and name not in close:
            yield Problem(f"{name} is read neither by FastOpp nor by an app.")
