"""Roll figures up: minutes to hours, hours to days; and remove what is too old.

A step moves the figures of one hour or one day, in one transaction: a sum over all periods but the total is the same
before and after.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, text, tuple_
from sqlmodel import col, delete, or_, select

from fastopp.database.framework_tables import MONITOR_FIGURES
from fastopp.database.session import Database
from fastopp.features.monitor.columns import KEY, PLACE, VALUES, add_to_kept, added_up
from fastopp.features.monitor.models import DAY, HOUR, MINUTE, TOTAL, MonitorFigures, MonitorInstance, MonitorStatement

KEEP_MINUTES: Final = DAY + HOUR  # seconds that minutes are kept: a page shows the last day by them
KEEP_HOURS: Final = 15 * DAY  # this week, and the last one to compare it with
KEEP_INSTANCES: Final = 30 * DAY
"""Longer than any instance is frozen: its row has the number of its last batch."""


async def roll_up(database: Database, now: float) -> bool:
    """Move the oldest minutes or hours that are due, and return whether there were any. Raises DatabaseUnavailable."""
    for period, into, keep in ((MINUTE, HOUR, KEEP_MINUTES), (HOUR, DAY, KEEP_HOURS)):
        async with database.read() as session:
            query = select(func.min(MonitorFigures.since)).where(MonitorFigures.period == period)
            oldest = (await session.exec(query)).one()
        if oldest is not None and (since := oldest // into * into) + into <= now - keep:
            await _move(database, period, since, into)
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
        old = or_(figures.c.period == DAY, figures.c.period == HOUR, figures.c.period == MINUTE)
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
