"""Naive datetimes in Python code get their timezone."""

from __future__ import annotations

import pytest

from fastopp.cli.adopt.edits import Source
from fastopp.cli.adopt.times import fix_times

FROM = "from datetime import date, datetime\n"
MODULE = "import datetime as dt\n"


def fixed(head: str, code: str) -> str:
    source = Source(head + code)
    for statement in source.tree.body:
        fix_times(source, statement)
    return source.result().removeprefix(head)


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("a = datetime.utcnow()  # now", "a = utc_now()  # now"),
        ("a = datetime.now() - b", "a = utc_now() - b"),
        ("a = Field(default_factory=datetime.utcnow)", "a = Field(default_factory=utc_now)"),
        ("a = datetime.now(UTC)", "a = datetime.now(UTC)"),
        ("a = datetime(2024, 1, 2)", "a = datetime(2024, 1, 2, tzinfo=UTC)"),
        ("a = datetime(2024, 1, 2, tzinfo=z)", "a = datetime(2024, 1, 2, tzinfo=z)"),
        ("a = datetime.fromtimestamp(s)", "a = datetime.fromtimestamp(s, UTC)"),
        ("a = datetime.utcfromtimestamp(s)", "a = datetime.fromtimestamp(s, UTC)"),
        ("a = datetime.strptime(é, f).date()", "a = as_utc(datetime.strptime(é, f)).date()"),
        ("a = b.replace(tzinfo=None)", "a = b.replace(tzinfo=UTC)"),
        ("a = date(2024, 1, 2)", "a = date(2024, 1, 2)"),
        ("a = other.now()", "a = other.now()"),
        (
            "@router.post('/')\ndef f(at: datetime | None = None): ...",
            "@router.post('/')\ndef f(at: UtcTime | None = None): ...",
        ),
        ("class Body(BaseModel):\n    at: datetime", "class Body(BaseModel):\n    at: UtcTime"),
        ("class Row(SQLModel, table=True):\n    at: datetime", "class Row(SQLModel, table=True):\n    at: datetime"),
    ],
)
def test_from_the_module(code: str, result: str) -> None:
    assert fixed(FROM, code) == result


def test_through_the_module() -> None:
    assert (
        fixed(MODULE, "a = dt.datetime.utcnow(), dt.datetime(1, 2, 3)")
        == "a = utc_now(), dt.datetime(1, 2, 3, tzinfo=UTC)"
    )
