"""`oppman.py check`: what would go wrong, before it does."""

from __future__ import annotations

from fastopp.checks.catalogue import project_checks
from fastopp.checks.check import Level, Mode
from fastopp.checks.runner import select
from fastopp.console.checking import (
    DriftOption,
    EnvFileOption,
    FailLevelOption,
    LiveOption,
    SiteOption,
    SkipOption,
    read_context,
    report_on,
)
from fastopp.console.options import JsonOption
from fastopp.console.output import command


@command
async def check(
    *,
    live: LiveOption = False,
    drift: DriftOption = False,
    url: SiteOption = "",
    env_file: EnvFileOption = None,
    skip: SkipOption = None,
    fail_level: FailLevelOption = Level.ERROR,
    as_json: JsonOption = False,
) -> None:
    """Check the settings and migrations and, with --live, the database and storage that they name."""
    modes = {Mode.STATIC, *([Mode.LIVE] if live else []), *([Mode.DRIFT] if drift else [])}
    context = read_context(env_file, site=url)
    checks = select(project_checks(context), modes=modes, skip=skip or ())
    await report_on(context, checks, fail_level, as_json=as_json)
