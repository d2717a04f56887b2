"""The numbers of jobs by queue, task and status, at a cost that does not grow with the jobs of a month."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.database.counting import EXACT_UP_TO
from fastopp.tasks.models import has_status, jobs
from fastopp.tasks.queue.status import CANCELLED, Status, state

if TYPE_CHECKING:
    from sqlalchemy import Select

_RARE = (("todo",), ("doing",), ("failed",), CANCELLED)  # an index has each of them

Groups = list[tuple[str, str, Status, int]]


async def count_groups(connection: AsyncConnection) -> Groups:
    """Return queue, task, status and number of jobs.

    The newest jobs are all there are, or else stand for those that succeeded: about as many as ids are in use.
    """
    newest = await _groups(connection, select(*_columns()).order_by(jobs.c.id.desc()))
    if sum(group[3] for group in newest) <= EXACT_UP_TO:
        return newest
    groups: Groups = []
    for statuses in _RARE:
        groups += await _groups(connection, select(*_columns()).where(has_status(*statuses)))
    ends = (select(pick(jobs.c.id)).scalar_subquery() for pick in (func.max, func.min))
    last, first = (await connection.execute(select(*ends))).one()
    succeeded = [group for group in newest if group[2] == "succeeded"]
    sample = sum(group[3] for group in succeeded)
    total = max(last - first + 1 - sum(group[3] for group in groups), sample)
    return groups + [(queue, task, status, round(number * total / sample)) for queue, task, status, number in succeeded]


def _columns() -> list[Any]:
    return [jobs.c.queue_name, jobs.c.task_name, state().label("state")]


async def _groups(connection: AsyncConnection, query: Select[Any]) -> Groups:
    some = query.limit(EXACT_UP_TO + 1).subquery()
    columns = list(some.c)
    rows = await connection.execute(select(*columns, func.count()).group_by(*columns))
    return [(row[0], row[1], row[2], row[3]) for row in rows]
