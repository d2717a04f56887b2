"""Find faulty modules of a project: each is imported, and searched for what FastOpp uses of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ParamSpec

import typer

from fastopp.checks.catalogue import checks_of
from fastopp.checks.check import Problem
from fastopp.checks.context import CheckContext
from fastopp.core.app_settings import app_settings
from fastopp.core.apps import App
from fastopp.errors import FastOppError

P = ParamSpec("P")


def project_faults(context: CheckContext) -> list[Problem]:
    """Return what keeps the modules of main.py and its apps from being used, each mistake once."""
    try:
        apps = context.apps
    except FastOppError as error:
        return [Problem(error.message, error.hint)]
    found = [problem for app in apps for problem in _faults_of(app)]
    found = found or [*_fault(app_settings, apps)]  # two apps may declare one variable
    found = found or [*_fault(context.load_main)]
    return list({problem.message: problem for problem in found}.values())  # one mistake may break several files


def _faults_of(app: App) -> Iterator[Problem]:
    yield from _fault(app_settings, (app,))
    yield from _fault(app.navigation)
    yield from _fault(app.load_models)
    yield from _fault(app.router)
    yield from _fault(app.admin_views)
    yield from _fault(app.seed_steps)
    yield from _fault(app.tasks)
    yield from _fault(app.session_entries)
    yield from _fault(app.part, "commands", "app", typer.Typer)
    yield from _fault(app.probes)
    yield from _fault(checks_of, app)


def _fault(use: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Iterator[Problem]:
    try:
        use(*args, **kwargs)
    except FastOppError as error:
        yield Problem(error.message, error.hint)
