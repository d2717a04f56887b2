"""Checks, run by a command: its options, the project in the current folder, and the report."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Annotated

import typer

from fastopp.checks.check import Check, Finding, Level
from fastopp.checks.context import CheckContext
from fastopp.checks.runner import CheckReport, run_checks
from fastopp.console.main_file import find_project_apps
from fastopp.console.output import EXIT_FAILED, EXIT_MISUSED, console, emit_json, error_console, fail, say
from fastopp.console.project import import_main
from fastopp.platforms.base import Platform

NO_FILE = Path("/nonexistent")

_STYLES = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.INFO: "cyan"}

EnvFileOption = Annotated[
    Path | None, typer.Option(help="Read the settings from this file instead of the environment and .env.")
]
LiveOption = Annotated[bool, typer.Option("--live", help="Also connect to the database and the Object Storage.")]
DriftOption = Annotated[
    bool,
    typer.Option("--drift", help="Also compare settings, release and migrations with the deployed site."),
]
SiteOption = Annotated[str, typer.Option("--url", help="The deployed site, for --drift. Default: SITE_URL.")]
FailLevelOption = Annotated[Level, typer.Option(help="The lowest level that ends with status 1.")]
SkipOption = Annotated[list[str] | None, typer.Option(help="An id to skip, like W203; may be repeated.")]


def env_file_of(platform: Platform) -> Path:
    """Return the name of the file with the variables of a service on a platform."""
    return Path(f".env.{platform.name}")


def read_context(env_file: Path | None, *, platform: Platform | None = None, site: str = "") -> CheckContext:
    """Read the project in the current folder, with the settings of a file alone, or of the environment.

    Parameters
    ----------
    platform: judge them as those of a service there. Its file is the default, and `.env` is not read.
    site: the address of the deployed site.
    """
    if platform and env_file is None and env_file_of(platform).is_file():
        env_file = env_file_of(platform)
    if env_file is not None and not env_file.is_file():
        fail(f"There is no file {env_file}.", status=EXIT_MISUSED)
    environ: dict[str, str] | None = None if env_file is None else {}
    if platform and env_file is None:
        env_file = NO_FILE  # .env is this machine's
    context = CheckContext.read(
        Path.cwd(),
        environ=environ,
        env_file=env_file,
        platform=platform,
        load_apps=find_project_apps,
        load_main=_import_main,
    )
    context.site = site
    return context


def _import_main() -> None:
    # Mistakes in the settings end it; other checks report them.
    with suppress(SystemExit), redirect_stderr(io.StringIO()):
        import_main()


async def report_on(context: CheckContext, checks: list[Check], fail_level: Level, *, as_json: bool) -> None:
    """Run checks, print what they found, and end with status 1 when it is bad enough."""
    report = await _run(context, checks, quiet=as_json)
    if as_json:
        emit_json({**context.as_subject(), **report.as_json()})
    else:
        print_report(report)
    if report.at_least(fail_level):
        raise typer.Exit(EXIT_FAILED)


async def _run(context: CheckContext, checks: list[Check], *, quiet: bool) -> CheckReport:
    if quiet or not sys.stderr.isatty():
        return await run_checks(checks, context)
    with error_console.status("Checking") as status:
        return await run_checks(checks, context, progress=lambda each: status.update(f"Checking: {each.title}"))


def print_report(report: CheckReport) -> None:
    """Print findings for people: the worst first, each with how to fix it."""
    for finding in report.findings:
        _print_finding(finding)
    reasons: dict[str, list[str]] = {}
    for each in report.unchecked:
        reasons.setdefault(each.reason, []).append(each.id)
    for reason, ids in reasons.items():
        console.print(f"not checked  {reason} ({', '.join(ids)})", style="dim", markup=False)
    counts = [_counted(report, level) for level in reversed(Level)]
    found = ", ".join(filter(None, counts)) or "nothing found"
    bad = any(finding.level is Level.ERROR for finding in report.findings)
    if report.unchecked:  # they may have found something
        number = len(report.unchecked)
        total, left = report.ran + number, f"{number} {'check' if number == 1 else 'checks'} could not run"
        say(f"{report.ran} of {total} checks ran: {found}. {left}: see above.", style="red" if bad else "yellow")
    else:
        say(f"{report.ran} checks: {found}.", style="red" if bad else "green")


def _print_finding(finding: Finding) -> None:
    console.print(f"{finding.level.value} {finding.id}", style=_STYLES[finding.level], markup=False, end="  ")
    console.print(finding.message, markup=False)
    if finding.hint:
        console.print(f"    {finding.hint}", markup=False)
    if finding.link:
        console.print(f"    {finding.link}", style="dim", markup=False)


def _counted(report: CheckReport, level: Level) -> str:
    number = sum(finding.level is level for finding in report.findings)
    word = "to know" if level is Level.INFO else level.value + ("s" if number != 1 else "")
    return f"{number} {word}" if number else ""
