"""Roll figures up: four hours to days; and remove what is too old.

A step moves the figures of one day, in one transaction: a sum over four hours and days is the same before and after.
Minutes and hours are removed, since what is in them is also in their four hours.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, text, tuple_
from sqlmodel import col, delete, or_, select

from fastopp.database.framework_tables import MONITOR_FIGURES
from fastopp.database.session import Database
from fastopp.features.monitor.columns import KEY, PLACE, VALUES, add_to_kept, added_up
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.periods import DAY, FOUR_HOURS, HOUR, MINUTE, TOTAL

KEEP_MINUTES: Final = 3 * HOUR  # a page shows the last hour by them
KEEP_HOURS: Final = 8 * DAY  # the last day, and the same hours a week ago
KEEP_FOUR_HOURS: Final = 8 * DAY  # the last week
_STEPS: Final = ((MINUTE, HOUR, KEEP_MINUTES), (HOUR, DAY, KEEP_HOURS), (FOUR_HOURS, DAY, KEEP_FOUR_HOURS))
KEEP_INSTANCES: Final = 30 * DAY
"""Longer than any instance is frozen: its row has the number of its last batch."""


async def roll_up(database: Database, now: float) -> bool:
    """Move or remove the oldest figures that are due, and return whether there were any. Raises DatabaseUnavailable."""
    for period, step, keep in _STEPS:
        async with database.read() as session:
            query = select(func.min(MonitorFigures.since)).where(MonitorFigures.period == period)
            oldest = (await session.exec(query)).one()
        if oldest is None or (since := oldest // step * step) + step > now - keep:
            continue
        if period == FOUR_HOURS:
            await _move(database, period, since, step)
        else:
            async with database.engine.begin() as connection:
                await connection.execute(text(_DELETE), {"period": period, "since": since, "until": since + step})
        return True
    return False


async def _move(database: Database, period: int, since: int, into: int) -> None:
    given = {"period": period, "since": since, "until": since + into, "into": into}
    async with database.engine.begin() as connection:
        if database.url.backend == "postgresql":
            # One statement: figures that a late flush adds meanwhile are left for the next time.
            await connection.execute(text(_ON_POSTGRESQL), given)
        else:
            await connection.execute(text(_INSERT_ON_SQLITE), given)
            await connection.execute(text(_DELETE), {name: given[name] for name in ("period", "since", "until")})


async def forget(database: Database, now: float, keep_days: int) -> None:
    """Remove days older than `keep_days`, and series, statements and instances that none of the rest belongs to."""
    figures = MonitorFigures.__table__  # type: ignore[attr-defined] # SQLModel does not declare it
    # Lists, and no subqueries for each row: no index begins with the series, so that each would read the whole table.
    alive: Any = select(*(figures.c[name] for name in KEY)).where(figures.c.period != TOTAL)
    is_alive = tuple_(*(figures.c[name] for name in KEY)).in_(alive)
    is_used = col(MonitorStatement.name).in_(select(figures.c.name).where(figures.c.kind == "query"))
    too_old = int(now - keep_days * DAY)
    async with database.transaction() as session:
        connection = await session.connection()
        old = or_(*(figures.c.period == period for period in (DAY, FOUR_HOURS, HOUR, MINUTE)))
        await connection.execute(delete(MonitorFigures).where(old, figures.c.since < too_old))
        await connection.execute(delete(MonitorFigures).where(figures.c.period == TOTAL, ~is_alive))
        await connection.execute(delete(MonitorStatement).where(~is_used))
        instances = delete(MonitorInstance).where(col(MonitorInstance.seen_at) < now - KEEP_INSTANCES)
        await connection.execute(instances)


_DELETE: Final = f"DELETE FROM {MONITOR_FIGURES} WHERE period = :period AND since >= :since AND since < :until"  # noqa: S608 - our own names


def _insert(rows: str, maximum: str) -> str:
    key, into = ", ".join(KEY), "CAST(:into AS integer), CAST(:since AS bigint)"
    sums = f"SELECT {into}, {key}, {added_up()} FROM {rows} GROUP BY {key} ORDER BY {key}"  # noqa: S608 - as above
    return f"INSERT INTO {MONITOR_FIGURES} AS kept ({', '.join(PLACE)}, {', '.join(VALUES)}) {sums} " + add_to_kept(
        maximum
    )


_ON_POSTGRESQL: Final = f"WITH moved AS ({_DELETE} RETURNING *) {_insert('moved', 'greatest')}"
_INSERT_ON_SQLITE: Final = _insert(
    f"{MONITOR_FIGURES} WHERE period = :period AND since >= :since AND since < :until", "max"
)
