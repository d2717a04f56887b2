"""Running checks: what one cannot look at keeps nobody else from looking."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from fastopp.checks import runner
from fastopp.checks.catalogue import all_checks
from fastopp.checks.check import Check, Level, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.checks.runner import run_checks
from fastopp.errors import Unavailable


def decorated(number: str) -> Any:
    return check(f"fastopp.{number}", f"Title of {number}", fix="Fix it.", subject=Subject.SETTINGS)


@decorated("I001")
def known(_: CheckContext) -> Iterator[Problem]:
    """It is known."""
    yield Problem("known", "")


@decorated("E002")
async def wrong(_: CheckContext) -> AsyncIterator[Problem]:
    """It is wrong."""
    yield Problem("one")
    yield Problem("two", "Otherwise.")


@decorated("E003")
def absent(_: CheckContext) -> Iterator[Problem]:
    """It is not there."""
    raise CannotCheck("There is none.")
    yield


@decorated("E004")
async def down(_: CheckContext) -> AsyncIterator[Problem]:
    """It is down."""
    raise Unavailable
    yield


@decorated("E005")
async def failing(_: CheckContext) -> AsyncIterator[Problem]:
    """A driver fails."""
    raise OperationalError("SELECT 1", {}, Exception("host=secret.example"))
    yield


@decorated("E006")
async def slow(_: CheckContext) -> AsyncIterator[Problem]:
    """It does not end."""
    await asyncio.sleep(60)
    yield Problem("never")


@decorated("E007")
def faulty(_: CheckContext) -> Iterator[Problem]:
    """It has a mistake."""
    raise KeyError("secret")
    yield


CHECKS: list[Check] = [known, wrong, absent, down, failing, slow, faulty]


async def test_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "TIME_LIMIT", 0.05)
    began: list[str] = []
    report = await run_checks(CHECKS, CheckContext(Path()), progress=lambda each: began.append(each.id))
    assert began == [each.id for each in CHECKS]
    assert report.ran == 2
    found = [(finding.message, finding.hint) for finding in report.findings]
    assert found == [("one", "Fix it."), ("two", "Otherwise."), ("known", "")], "the worst first"
    reasons = {each.id: each.reason for each in report.unchecked}
    assert reasons["fastopp.E003"] == "There is none."
    assert reasons["fastopp.E004"] == Unavailable().message
    assert reasons["fastopp.E005"] == "OperationalError"
    assert "0.05 seconds" in reasons["fastopp.E006"]
    assert re.fullmatch(r"It failed with KeyError in .*test_checks_runner\.py, line \d+\.", reasons["fastopp.E007"])
    assert len(report.at_least(Level.ERROR)) == 2
    assert len(report.at_least(Level.INFO)) == 3
    as_json = report.as_json()
    assert as_json["findings"][0]["level"] == "error"
    assert as_json["checks"] == 2


def test_no_id_is_used_twice() -> None:
    ids = [each.id for each in all_checks()]
    assert len(ids) >= 50
    assert len(set(ids)) == len(ids)


def test_a_check_knows_its_level_and_its_place_in_the_docs() -> None:
    assert wrong.level is Level.ERROR
    assert known.level is Level.INFO
    assert wrong.means == "It is wrong."
    assert wrong.link == "docs/checks.md#fastoppe002"
