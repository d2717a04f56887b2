"""Runs checks, and says what came of them."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from fastopp.checks.check import Check, Finding, Level, Mode, Scope, Subject
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.errors import FastOppError
from fastopp.platforms.base import Platform

TIME_LIMIT = 60.0  # seconds for one check; what does not answer by then does not work


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A check that could not look, and why."""

    id: str
    title: str
    reason: str


@dataclass(slots=True)
class CheckReport:
    """The result of a run."""

    ran: int = 0
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)

    def at_least(self, level: Level) -> list[Finding]:
        """The findings that are as bad as that, or worse."""
        return [finding for finding in self.findings if finding.level.severity >= level.severity]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "checks": self.ran,
            "findings": [finding.as_json() for finding in self.findings],
            "unchecked": [{"id": each.id, "title": each.title, "reason": each.reason} for each in self.unchecked],
        }


def select(
    checks: Iterable[Check],
    *,
    platform: Platform | None = None,
    modes: Collection[Mode] = (Mode.STATIC,),
    subjects: Collection[Subject] | None = None,
    skip: Collection[str] = (),
) -> list[Check]:
    """The checks of one run.

    Parameters
    ----------
    platform: also the checks of a deployment there.
    subjects: only those; all by default.
    skip: ids to leave out, with or without `fastopp.`.
    """
    scopes = {Scope.PROJECT, Scope.DEPLOYMENT, platform.name} if platform else {Scope.PROJECT}
    left_out = {each if "." in each else f"fastopp.{each}" for each in skip}
    return [
        each
        for each in checks
        if each.mode in modes
        and each.scope in scopes
        and (subjects is None or each.subject in subjects)
        and each.id not in left_out
    ]


async def run_checks(
    checks: Iterable[Check], context: CheckContext, *, progress: Callable[[Check], None] | None = None
) -> CheckReport:
    """Run checks one after the other, each within its time; `progress` hears of each before it begins."""
    report = CheckReport()
    for each in checks:
        if progress:
            progress(each)
        try:
            async with asyncio.timeout(TIME_LIMIT):
                report.findings += await each.run(context)
            report.ran += 1
        except TimeoutError:
            report.unchecked.append(Unchecked(each.id, each.title, f"It took more than {TIME_LIMIT:g} seconds."))
        except CannotCheck as error:
            report.unchecked.append(Unchecked(each.id, each.title, error.message))
        except (FastOppError, SQLAlchemyError, OSError) as error:
            # A driver's text may hold an address; ours says what is wrong.
            reason = error.message if isinstance(error, FastOppError) else type(error).__name__
            report.unchecked.append(Unchecked(each.id, each.title, reason))
        except Exception as error:  # noqa: BLE001 - the edge: an app's check may raise anything
            report.unchecked.append(Unchecked(each.id, each.title, _fault(error)))
    report.findings.sort(key=lambda finding: (-finding.level.severity, finding.id))
    return report


def _fault(error: Exception) -> str:
    """Return the kind of an error and its place; its text may hold a secret."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"It failed with {type(error).__name__} in {frame.filename}, line {frame.lineno}."
