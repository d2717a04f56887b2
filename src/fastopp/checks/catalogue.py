"""Find the checks of the framework's features and of a project's apps, each in the app's checks.py."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from fastopp.checks.check import Check
from fastopp.checks.context import CheckContext
from fastopp.core.apps import App, AppError, BrokenPart
from fastopp.core.features import find_features, is_feature
from fastopp.errors import FastOppError

FRAMEWORK: Final = "fastopp"  # the prefix of the features' ids
_PARTS: Final = ("checks", "live_checks")  # the modules of an app that define checks


def project_checks(context: CheckContext) -> tuple[Check, ...]:
    """Return the checks of a project; only the framework's if its apps cannot be found."""
    try:
        return all_checks(context.apps)
    except FastOppError:
        return all_checks()


def all_checks(apps: Iterable[App] = ()) -> tuple[Check, ...]:
    """Return the framework's checks by number, then those of apps in their order.

    An app with a faulty checks.py has none; `fastopp.E501` reports it.
    """
    found = [each for feature in find_features() for each in checks_of(feature)]
    found.sort(key=lambda each: each.id.rpartition(".")[2][1:])
    for app in apps:
        with suppress(AppError):
            found += checks_of(app)
    return tuple(found)


def checks_of(app: App) -> list[Check]:
    """Return the checks that an app's checks.py and live_checks.py define, or import from another module of the app.

    Raises BrokenPart for a module that cannot be imported, for an id without the app's prefix, and for one that is used
    twice.
    """
    prefix = FRAMEWORK if is_feature(app) else app.name
    modules = [module for part in _PARTS if (module := app.part(part))]
    found: dict[str, Check] = {}
    for each in (value for module in modules for value in vars(module).values()):
        if not isinstance(each, Check) or not each.function.__module__.startswith(f"{app.package}."):
            continue
        if not re.fullmatch(rf"{re.escape(prefix)}\.[EWI]\d{{3}}", each.id):
            hint = f"Write it like `{prefix}.W001`: E is an error, W a warning, I information."
            raise BrokenPart(f"{_place(each)}: the id {each.id!r} does not fit the app.", hint=hint)
        if found.setdefault(each.id, each) is not each:
            raise BrokenPart(f"{_place(each)}: the id {each.id!r} is used twice.", hint="Use another number.")
    return list(found.values())


def _place(check: Check) -> str:
    function = inspect.unwrap(check.function)
    return f"{function.__module__.replace('.', '/')}.py, line {inspect.getsourcelines(function)[1]}"
