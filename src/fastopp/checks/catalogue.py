"""Every check there is."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from fastopp.checks import database, database_live, environment, secrets
from fastopp.checks.check import Check
from fastopp.core.features import find_features

_GENERAL = (secrets, environment, database, database_live)
_PARTS = ("checks", "live_checks")  # of a feature


def all_checks() -> tuple[Check, ...]:
    """All checks, by id: the general ones and those of the features."""
    modules = (*_GENERAL, *_of_features())
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Check)]
    return tuple(sorted(found, key=lambda each: each.id.rpartition(".")[2][1:]))


def _of_features() -> Iterator[ModuleType]:
    for app in find_features():
        for part in _PARTS:
            if (app.folder / f"{part}.py").is_file() or (app.folder / part).is_dir():
                yield import_module(f"{app.package}.{part}")
