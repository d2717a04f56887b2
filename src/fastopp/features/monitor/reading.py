"""Read the kept figures of a window, added up by slot and by series.

Each query reads `MAX_ROWS` rows at most, the newest, by the table's primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    RowMapping,
    Select,
    Subquery,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlmodel import col
from sqlmodel import select as of_models
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.monitor.columns import BUCKETS, KEY, SLOWEST, SUMS, VALUES
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.periods import TOTAL
from fastopp.features.monitor.spans import Window
from fastopp.recording import INSTANCE, OTHER, QUERY, REQUEST, Figures
from fastopp.web.middleware.recording import LONG_WORK

MAX_ROWS: Final = 100_000  # of the table that a query reads: a second's work at most
MAX_SERIES: Final = 5_000
MAX_INSTANCES: Final = 50
MAX_STATEMENTS: Final = 500

BACKGROUND: Final = "background"
"""The kind of requests that run tasks. They may take minutes, and belong into no percentile."""

_TABLE: Final = MonitorFigures.__table__  # type: ignore[attr-defined] # SQLModel does not declare it
_STATEMENTS: Final = MonitorStatement.__table__  # type: ignore[attr-defined] # as above


@dataclass(frozen=True, slots=True)
class Only:
    """The series that are read: those of a route or a task, or of all."""

    kind: str = ""
    name: str = ""
    method: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what a row has to meet."""
        given = {"kind": self.kind, "name": self.name, "method": self.method}
        return [_TABLE.c[column] == value for column, value in given.items() if value]


@dataclass(frozen=True, slots=True)
class Point:
    """The figures of a slot, of work of a kind that ended alike."""

    since: int
    kind: str
    """`request`, BACKGROUND, `task`, `query` or `instance`."""
    result: str
    """The first digit of a request's status, the outcome of a task, or `start` and `frozen`."""
    figures: Figures


@dataclass(frozen=True, slots=True)
class Series:
    """The figures of a window, of a series."""

    kind: str
    name: str
    method: str
    outcome: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Work:
    """Requests, attempts, starts and frozen times of a window."""

    points: list[Point]
    series: list[Series]
    """Those that took the most time."""
    is_partial: bool
    """Whether there were too many rows."""


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """A slow statement."""

    name: str
    text: str
    """The SQL without values."""
    caller: str
    figures: Figures = field(compare=False)


async def read_work(session: AsyncSession, window: Window, only: Only) -> Work:
    """Return what was recorded in a window, apart from slow statements. Raises TablesMissing."""
    rows = _rows(window, only, _TABLE.c.kind != QUERY)
    columns = [rows.c[name] for name in ("since", *VALUES)]
    labelled = select(*_part_and_result(rows, only), *columns).subquery("labelled")
    of_slot = [labelled.c[name] for name in ("since", "part", "result")]
    # The table is read twice, which costs less than the rows of each slot and series that both could be added up from.
    slots = await _all(session, select(*of_slot, func.count().label("rows"), *_added_up(labelled)).group_by(*of_slot))
    of_series = [rows.c[name] for name in KEY]
    longest = (
        select(*of_series, *_added_up(rows)).group_by(*of_series).order_by(func.sum(rows.c.seconds).desc(), *of_series)
    )
    series = await _all(session, longest.limit(MAX_SERIES))
    return Work(
        [Point(int(row["since"]), row["part"], row["result"], _figures(row)) for row in slots],
        [Series(row["kind"], row["name"], row["method"], row["outcome"], _figures(row)) for row in series],
        is_partial=sum(row["rows"] for row in slots) >= MAX_ROWS,
    )


async def read_statements(session: AsyncSession, window: Window | None, limit: int) -> list[SlowStatement]:
    """Return the slow statements that took the most time.

    Parameters
    ----------
    window: None for all since the first flush, as far as their figures are kept.
    """
    rows = _rows(window, Only(kind=QUERY))
    query = select(rows.c.name, *_added_up(rows)).group_by(rows.c.name)
    query = query.order_by(func.sum(rows.c.seconds).desc(), rows.c.name).limit(min(limit, MAX_STATEMENTS))
    found = {row["name"]: _figures(row) for row in await _all(session, query)}
    known = select(_STATEMENTS).where(_STATEMENTS.c.name.in_(found))
    texts = {row["name"]: (row["text"], row["caller"]) for row in await _all(session, known)}
    return [SlowStatement(name, *texts.get(name, (OTHER, "")), figures) for name, figures in found.items()]


async def read_instances(session: AsyncSession, since: int) -> tuple[Sequence[MonitorInstance], int]:
    """Return the instances that were seen since a moment, the newest first, and how many there are."""
    seen = col(MonitorInstance.seen_at)
    newest = of_models(MonitorInstance).where(seen >= since).order_by(seen.desc()).limit(MAX_INSTANCES)
    number = of_models(func.count()).select_from(MonitorInstance).where(seen >= since)
    return (await session.exec(newest)).all(), (await session.exec(number)).one()


def merge(figures: Iterable[Figures]) -> Figures:
    """Return the sum of figures."""
    total = Figures()
    for each in figures:
        for name in Figures.__slots__:
            if name == "buckets":
                total.buckets = [one + other for one, other in zip(total.buckets, each.buckets, strict=True)]
            elif name == "slowest":
                total.slowest = max(total.slowest, each.slowest)
            else:
                setattr(total, name, getattr(total, name) + getattr(each, name))
    return total


def _rows(window: Window | None, only: Only, *conditions: ColumnElement[bool]) -> Subquery:
    """Return the rows of a window, the newest of them."""
    wanted = [*only.conditions(), *conditions]
    if window is None:
        return select(_TABLE).where(_TABLE.c.period == TOTAL, *wanted).limit(MAX_ROWS).subquery("kept")
    shown = _TABLE.c.period == window.span.slot, _TABLE.c.since >= window.since, _TABLE.c.since < window.until
    newest = select(_TABLE).where(*shown, *wanted).order_by(_TABLE.c.since.desc()).limit(MAX_ROWS)
    return newest.subquery("kept")


def _part_and_result(rows: Subquery, only: Only) -> list[ColumnElement[str]]:
    kind, name, outcome = rows.c.kind, rows.c.name, rows.c.outcome
    part: ColumnElement[str] = kind
    if not only.name:
        is_long = (kind == REQUEST) & name.startswith(LONG_WORK, autoescape=True)
        part = case((is_long, literal(BACKGROUND)), else_=kind)
    result = case((kind == REQUEST, func.substr(outcome, 1, 1)), (kind == INSTANCE, name), else_=outcome)
    return [part.label("part"), result.label("result")]


def _added_up(rows: FromClause) -> list[ColumnElement[Any]]:
    # A sum of PostgreSQL's bigint is a numeric, which Python would get as a Decimal.
    whole = (name for name in SUMS if not name.endswith("seconds"))
    sums = [cast(func.sum(rows.c[name]), BigInteger).label(name) for name in whole]
    sums += [func.sum(rows.c[name]).label(name) for name in SUMS if name.endswith("seconds")]
    return [*sums, func.max(rows.c[SLOWEST]).label(SLOWEST)]


def _figures(row: RowMapping) -> Figures:
    figures = Figures()
    for name in Figures.__slots__:
        if name != "buckets":
            setattr(figures, name, row[name])
    figures.buckets = [row[name] for name in BUCKETS]
    return figures


async def _all(session: AsyncSession, query: Select[Any]) -> Sequence[RowMapping]:
    rows: Sequence[RowMapping] = (await (await session.connection()).execute(query)).mappings().all()
    return rows
