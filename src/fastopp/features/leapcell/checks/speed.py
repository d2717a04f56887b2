"""Checks of start-up time and memory against the size that leapcell.yaml asks for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext, is_fastopp_project
from fastopp.checks.errors import CannotCheck
from fastopp.checks.trial_run import TrialRun, measure
from fastopp.features.leapcell.checks.manifest import manifest_of
from fastopp.platforms.leapcell import LEAPCELL, LEAPCELL_SLOW_START

NEARLY: Final = 0.8  # of the memory: a large request or ten at a time take the rest
_MEASURED: Final = re.compile(r"\buvicorn\b.*\bmain:app\b")
SHOWN_AS_ERROR: Final = 500  # HTTP status

_BIGGER = "Raise memory in leapcell.yaml, which also buys processor time, or import less before the first page."


@check(
    "fastopp.W401",
    "The application starts too slowly for its size",
    fix=_BIGGER,
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def slow_start(context: CheckContext) -> AsyncIterator[Problem]:
    """Memory buys a share of a core: 512 MB are 29 %. A cold start on LeapCell is estimated as the
    processor time until the health path answers, divided by that share, on a core like this machine's."""
    run = await _measured(context)
    seconds, limit = run.until_health / share(context), LEAPCELL_SLOW_START
    if seconds > limit:
        memory = manifest_of(context).memory
        yield Problem(f"A cold start takes {seconds:.1f} s with {memory} MB, more than {limit:g} s.")


@check(
    "fastopp.W402",
    "The first page is too slow for the application's size",
    fix=_BIGGER,
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def slow_page(context: CheckContext) -> AsyncIterator[Problem]:
    """The first visitor after half an hour without requests waits that long."""
    run = await _measured(context)
    seconds, limit = run.until_page / share(context), LEAPCELL_SLOW_START
    if seconds > limit:
        yield Problem(f"The first page comes after {seconds:.1f} s with {manifest_of(context).memory} MB.")


@check(
    "fastopp.E403",
    "The application needs more memory than it gets",
    fix="Raise memory in leapcell.yaml.",
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def too_little_memory(context: CheckContext) -> AsyncIterator[Problem]:
    """LeapCell would kill the process."""
    run, memory = await _measured(context), manifest_of(context).memory
    if run.resident > memory:
        yield Problem(f"After ten pages it has {run.resident:.0f} MB of {memory} MB.")


@check(
    "fastopp.W404",
    "Memory is nearly used up",
    fix="Raise memory in leapcell.yaml.",
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def little_memory(context: CheckContext) -> AsyncIterator[Problem]:
    """An upload, a password hash or ten concurrent requests need more memory than a page."""
    run, memory = await _measured(context), manifest_of(context).memory
    if memory * NEARLY < run.resident <= memory:
        yield Problem(f"After ten pages it has {run.resident:.0f} MB of {memory} MB.")


@check(
    "fastopp.E405",
    "The first page fails",
    fix="Run `python oppman.py runserver` and read the log.",
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def failing_page(context: CheckContext) -> AsyncIterator[Problem]:
    """The page is requested with a new database and no files."""
    run = await _measured(context)
    if run.page_status >= SHOWN_AS_ERROR:
        foreign = "Start the application and read its log."
        hint = None if is_fastopp_project(context.folder) else foreign
        yield Problem(f"The page / answers {run.page_status}.", hint)


@check(
    "fastopp.I406",
    "Measured times and memory",
    fix="None needed.",
    subject=Subject.SPEED,
    scope=LEAPCELL.name,
    mode=Mode.MEASURE,
)
async def measured(context: CheckContext) -> AsyncIterator[Problem]:
    """The processor time of this machine, and the estimate for the share of a core that the memory buys."""
    run, part, memory = await _measured(context), share(context), manifest_of(context).memory
    yield Problem(
        f"With {memory} MB ({part:.0%} of a core): health path after {run.until_health / part:.1f} s, "
        f"first page after {run.until_page / part:.1f} s, {run.resident:.0f} MB after ten pages. "
        f"Processor time here: {run.until_health:.2f} s and {run.until_page:.2f} s.",
        "",
    )


def share(context: CheckContext) -> float:
    """The part of one core that the configured memory buys; one process starts on one core at most."""
    return min(1.0, manifest_of(context).cpu_share)


async def _measured(context: CheckContext) -> TrialRun:
    if context.trial_run is None:
        command = manifest_of(context).start_command  # raises where there is none, before anything is started
        own = is_fastopp_project(context.folder)
        if not own and not _MEASURED.search(command):
            raise CannotCheck(
                "Only `uvicorn main:app` is measured. `fastopp emulate` runs any project, and shows both."
            )
        settings = context.app_settings if own else ()
        context.trial_run = await measure(context.folder, platform=context.platform.name, app_settings=settings)
    return context.trial_run
