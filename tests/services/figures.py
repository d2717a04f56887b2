"""Figures of a site as the recorder writes them, for the tests of what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import insert

from fastopp.features.monitor.columns import BUCKETS, PLACE, SLOWEST, SUMS
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.periods import FOUR_HOURS, HOUR, MINUTE
from fastopp.recording import Figures, Key
from tests.services.ops_project import Project


def figures(*seconds: float, **values: float) -> Figures:
    """The figures of pieces of work that took so long, with further sums."""
    found = Figures()
    for each in seconds:
        found.add_seconds(each)
    for name, value in values.items():
        setattr(found, name, value)
    return found


def row(key: Key, since: int, found: Figures, period: int = MINUTE) -> dict[str, Any]:
    """A row of the table of figures."""
    values = {name: getattr(found, name) for name in Figures.__slots__ if name != "buckets"}
    buckets = dict(zip(BUCKETS, found.buckets, strict=True))
    return {"period": period, "since": since // period * period, **key._asdict(), **values, **buckets}


def in_all_periods(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as flushes write them: what is in a minute is also in its hour and its four hours."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for given in rows:
        for period in (MINUTE, HOUR, FOUR_HOURS) if given["period"] == MINUTE else (given["period"],):
            made = given | {"period": period, "since": given["since"] // period * period if period else 0}
            there = kept.setdefault(tuple(made[name] for name in PLACE), made)
            if there is not made:
                there |= {name: there[name] + made[name] for name in SUMS}
                there[SLOWEST] = max(there[SLOWEST], made[SLOWEST])
    return list(kept.values())


async def put(project: Project, rows: Iterable[dict[str, Any]], table: Any = MonitorFigures) -> None:
    """Write rows."""
    if table is MonitorFigures:
        rows = in_all_periods(rows)
    async with project.runtime.database.transaction() as session:
        await (await session.connection()).execute(insert(table), list(rows))


async def put_statement(project: Project, name: str, text: str, caller: str) -> None:
    """Write a slow statement."""
    await put(project, [{"name": name, "text": text, "caller": caller}], MonitorStatement)


async def put_instances(project: Project, seen: Sequence[int], **values: Any) -> None:
    """Write instances that were seen at these moments."""
    usual = {"flush": 1, "platform": "local", "start_seconds": 0.8, "frozen_seconds": 12.0, "processor_seconds": 3.5,
             "memory": 300_000_000, "memory_limit": 400_000_000, "connections": 2, "connections_limit": 5}  # fmt: skip
    rows = [usual | {"id": f"instance-{number}", "started_at": at - 600, "seen_at": at} | values
            for number, at in enumerate(seen)]  # fmt: skip
    await put(project, rows, MonitorInstance)
