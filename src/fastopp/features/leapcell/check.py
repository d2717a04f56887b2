"""`oppman.py leapcell check` and `fastopp check`: the checks of a service on LeapCell, run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastopp.checks.catalogue import all_checks, project_checks
from fastopp.checks.check import Check, Level, Mode, Scope, Subject
from fastopp.checks.context import CheckContext, is_fastopp_project
from fastopp.checks.runner import select
from fastopp.console.checking import (
    DriftOption,
    FailLevelOption,
    LiveOption,
    SiteOption,
    SkipOption,
    read_context,
    report_on,
)
from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_MISUSED, command, fail
from fastopp.core.apps import App
from fastopp.platforms.leapcell import LEAPCELL

ANY_PROJECT = (Subject.MANIFEST, Subject.REQUIREMENTS, Subject.SOURCE, Subject.SPEED)
"""The subjects of checks that any project can have."""


@command
async def leapcell_check(
    *,
    live: LiveOption = False,
    drift: DriftOption = False,
    url: SiteOption = "",
    measure: Annotated[
        bool,
        typer.Option(
            "--measure", help="Start the application here, and compare its time and memory with leapcell.yaml."
        ),
    ] = False,
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="Read the settings from this file. Default: .env.leapcell if it exists, otherwise the environment."
        ),
    ] = None,
    skip: SkipOption = None,
    fail_level: FailLevelOption = Level.ERROR,
    as_json: JsonOption = False,
) -> None:
    """Check everything that could fail on LeapCell: settings, build, start, database, files.

    Of a project that is not FastOpp's: leapcell.yaml, the requirements, the source, and with --measure the start.
    """
    modes = {
        Mode.STATIC,
        Mode.INSTALL,
        *([Mode.LIVE] if live else []),
        *([Mode.DRIFT] if drift else []),
        *([Mode.MEASURE] if measure else []),
    }
    folder, checks = Path.cwd(), list[Check]()
    if is_fastopp_project(folder):
        context = read_context(env_file, platform=LEAPCELL, site=url)
        checks, subjects = list(project_checks(context)), None
    elif live or drift:
        fail("--live and --drift are for FastOpp projects, and this is none.", status=EXIT_MISUSED)
    else:  # its settings are its own affair
        context = CheckContext(folder, platform=LEAPCELL, load_apps=lambda: (App(folder.name, folder),))
        checks, subjects = [each for each in all_checks() if each.scope != Scope.PROJECT], ANY_PROJECT
    checks = select(checks, platform=LEAPCELL, modes=modes, subjects=subjects, skip=skip or ())
    await report_on(context, checks, fail_level, as_json=as_json)
