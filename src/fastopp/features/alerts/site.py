"""The site as rules see it: its runtime, the time, and the figures of the last minutes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.features.alerts.names import SEND
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance
from fastopp.features.monitor.periods import HOUR, MINUTE
from fastopp.recording import BOUNDS, REQUEST, TASK

WINDOW: Final = 300  # seconds: the last five minutes, and the one that has begun
ALIVE: Final = 120  # seconds since its last flush for which an instance counts
LAST_WEEK: Final = 7 * 24 * HOUR
AROUND: Final = 3 * HOUR  # the same time last week, and so much before and after it
MAX_INSTANCES: Final = 200


class Sum(NamedTuple):
    """The figures of one kind and outcome."""

    kind: str
    outcome: str
    number: int
    buckets: tuple[int, ...]


class Site:
    """One evaluation's view of the site. What several rules need is read once."""

    def __init__(self, runtime: Runtime, now: datetime) -> None:
        self.runtime = runtime
        self.now = now
        self._recent: Sequence[Sum] | None = None
        self._instances: Sequence[MonitorInstance] | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for reading. Keep it for queries only: the pool may have one connection."""
        async with self.runtime.database.read() as session:
            yield session

    async def recent(self) -> Sequence[Sum]:
        """Return the figures of the last five minutes."""
        if self._recent is None:
            since = int(self.now.timestamp()) - WINDOW
            async with self.read() as session:
                self._recent = await _sums(session, MINUTE, since, since + 2 * WINDOW)
        return self._recent

    async def last_week(self) -> Sequence[Sum]:
        """Return the figures of the same hours a week ago."""
        middle = int(self.now.timestamp()) - LAST_WEEK
        async with self.read() as session:
            return await _sums(session, HOUR, middle - AROUND, middle + AROUND)

    async def instances(self) -> Sequence[MonitorInstance]:
        """Return the instances that were seen in the last two minutes."""
        if self._instances is None:
            seen = select(MonitorInstance).where(col(MonitorInstance.seen_at) >= int(self.now.timestamp()) - ALIVE)
            async with self.read() as session:
                self._instances = (await session.exec(seen.limit(MAX_INSTANCES))).all()
        return self._instances


def percentile(buckets: Sequence[int], share: float) -> float:
    """Return the seconds that a share of a histogram's values stay below, estimated within the bucket; 0 of none."""
    wanted, below, lower = share * sum(buckets), 0, 0.0
    if not wanted:
        return 0.0
    for count, upper in zip(buckets, (*BOUNDS, BOUNDS[-1]), strict=True):
        if below + count >= wanted:
            return lower + (upper - lower) * (wanted - below) / count
        below, lower = below + count, upper
    return lower


async def _sums(session: AsyncSession, period: int, since: int, until: int) -> Sequence[Sum]:
    figures: Any = MonitorFigures
    columns = [getattr(figures, f"b{index:02}") for index in range(len(BOUNDS) + 1)]
    sums = [func.sum(column) for column in (figures.count, *columns)]
    query: Any = (
        select(figures.kind, figures.outcome, *sums)
        .where(figures.period == period, figures.since >= since, figures.since < until)
        # A message that cannot be delivered is no reason for another one.
        .where(figures.kind.in_((REQUEST, TASK)), figures.name != SEND)
        .group_by(figures.kind, figures.outcome)
    )
    rows = (await session.exec(query)).all()
    return [Sum(row[0], row[1], int(row[2]), tuple(int(each) for each in row[3:])) for row in rows]
