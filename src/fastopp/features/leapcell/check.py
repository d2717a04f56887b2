"""`oppman.py leapcell check`: the checks of a service on LeapCell, run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastopp.checks.catalogue import project_checks
from fastopp.checks.check import Level, Mode
from fastopp.checks.runner import select
from fastopp.console.checking import FailLevelOption, LiveOption, SkipOption, read_context, report_on
from fastopp.console.options import JsonOption
from fastopp.console.output import command
from fastopp.platforms.leapcell import LEAPCELL


@command
async def leapcell_check(
    *,
    live: LiveOption = False,
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
    """Check everything that could fail on LeapCell: settings, build, start, database, files."""
    modes = {Mode.STATIC, *([Mode.LIVE] if live else []), *([Mode.MEASURE] if measure else [])}
    context = read_context(env_file, platform=LEAPCELL)
    checks = select(project_checks(context), platform=LEAPCELL, modes=modes, skip=skip or ())
    await report_on(context, checks, fail_level, as_json=as_json)
