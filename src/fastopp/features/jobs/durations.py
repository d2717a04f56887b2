"""Durations of tasks, computed by the database: an instance may end at any moment, and its own counters with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Float, and_, case, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.tasks.clock import from_now
from fastopp.tasks.models import events, jobs

WINDOW = 3600.0  # seconds
MAX_EVENTS = 10_000  # the newest ones that are looked at: a scrape takes a tenth of a second, however much there is
QUANTILES = (50, 90, 99, 100)  # in percent

_ENDED = ("succeeded", "failed", "aborted")


@dataclass(frozen=True, slots=True)
class Durations:
    """Durations of the jobs of one task that ended within the last hour: seconds of the last attempt each."""

    task: str
    count: int
    failed: int
    total: float
    quantiles: dict[int, float]
    """By percent: the shortest duration that so many did not exceed."""


class _Seconds(FunctionElement[float]):
    """Seconds from the first moment to the second."""

    type = Float()
    inherit_cache = True


@compiles(_Seconds)
def _on_postgresql(element: _Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's protocol
    begin, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"extract(epoch from {end} - {begin})"


@compiles(_Seconds, "sqlite")
def _on_sqlite(element: _Seconds, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as above
    begin, end = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(julianday({end}) - julianday({begin})) * 86400.0"


async def durations(session: AsyncSession) -> list[Durations]:
    """Return the durations of tasks that ended within the last hour, by task."""
    newest = select(events.c.job_id, events.c.type, events.c.at).order_by(events.c.id.desc()).limit(MAX_EVENTS)
    some = newest.subquery().c
    begun = func.max(case((some.type == "started", some.at)))
    ended = func.max(case((some.type.in_(_ENDED), some.at)))
    last = (
        select(some.job_id, begun.label("begun"), ended.label("ended"))
        .group_by(some.job_id)
        .having(and_(ended >= from_now(-WINDOW), ended >= begun))
        .subquery()
    )
    seconds = _Seconds(last.c.begun, last.c.ended)
    ranked = (
        select(
            jobs.c.task_name,
            jobs.c.status,
            seconds.label("seconds"),
            func.row_number().over(partition_by=jobs.c.task_name, order_by=seconds).label("rank"),
            func.count().over(partition_by=jobs.c.task_name).label("among"),
        )
        .join_from(last, jobs, jobs.c.id == last.c.job_id)
        .subquery()
    )
    at = [func.min(ranked.c.seconds).filter(ranked.c.rank * 100 >= ranked.c.among * percent) for percent in QUANTILES]
    query = select(
        ranked.c.task_name,
        func.count(),
        func.count().filter(ranked.c.status == "failed"),
        func.sum(ranked.c.seconds),
        *at,
    ).group_by(ranked.c.task_name)
    rows = (await (await session.connection()).execute(query)).all()
    return [
        Durations(name, count, failed, float(total), {q: float(v) for q, v in zip(QUANTILES, values, strict=True)})
        for name, count, failed, total, *values in rows
    ]
