"""Queue many jobs of one task: one INSERT for each thousand, in the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import TextClause, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.sql.sqltypes import UTCDateTime

from fastopp.tasks.arguments import fill, pack
from fastopp.tasks.errors import AlreadyQueued
from fastopp.tasks.models import jobs
from fastopp.tasks.task import Task

MOST = 1000
"""Jobs of one statement at most."""
LARGEST = 4_000_000
"""Characters of their arguments after which a statement is sent."""


class _Job(NamedTuple):
    """The parts of a row that differ between the jobs of a batch."""

    lock: str | None
    queueing_lock: str | None
    args: str


def _insert(rows: str, columns: str, order: str) -> TextClause:
    # The jobs are one parameter, however many they are. Their numbers rise in the order of the array.
    statement = f"""
        INSERT INTO procrastinate_jobs
            (queue_name, task_name, priority, scheduled_at, status, attempts, abort_requested,
             lock, queueing_lock, args)
        SELECT :queue, :task, :priority, :at, 'todo', 0, false, {columns}
        FROM {rows} WHERE true ORDER BY {order}
        ON CONFLICT DO NOTHING
        RETURNING id
    """  # noqa: S608 - made of the constants below
    return text(statement).bindparams(bindparam("at", type_=UTCDateTime))


_INSERT = {
    "postgresql": _insert(
        "jsonb_array_elements(CAST(:jobs AS jsonb)) WITH ORDINALITY AS job (value, number)",
        "value ->> 0, value ->> 1, CAST(value ->> 2 AS jsonb)",
        "number",
    ),
    "sqlite": _insert(
        "json_each(:jobs) AS job",
        "json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')",
        "key",
    ),
}


async def defer_many(
    connection: AsyncConnection, task: Task, many: Iterable[Mapping[str, Any]], *, at: datetime | None = None
) -> list[int]:
    """Write a row for the arguments of each job, and return their ids in that order.

    Either all are written or, when an error is raised, none. Raises TaskArguments, TaskTooBig, AlreadyQueued.
    """
    given = iter(many)
    ids: list[int] = []
    refused: list[_Job] = []
    async with connection.begin_nested() as savepoint:
        while not refused and (some := _next_jobs(task, given)):
            values = {"queue": task.queue, "task": task.name, "priority": task.priority, "at": at}
            written = await connection.execute(_INSERT[connection.dialect.name], values | {"jobs": json.dumps(some)})
            new = sorted(written.scalars())
            ids += new
            if len(new) < len(some):
                refused = some
                await savepoint.rollback()
    if refused:
        raise await _already_queued(connection, task, refused)
    return ids


def _next_jobs(task: Task, given: Iterable[Mapping[str, Any]]) -> list[_Job]:
    some: list[_Job] = []
    size = 0
    for args in islice(given, MOST):
        packed = pack(task, args)
        job = _Job(fill(task.lock, packed), fill(task.queueing_lock, packed), json.dumps(packed))
        some.append(job)
        size += len(job.args)
        if size > LARGEST:
            break
    return some


async def _already_queued(connection: AsyncConnection, task: Task, refused: list[_Job]) -> AlreadyQueued:
    locks = {job.queueing_lock for job in refused}
    same = select(jobs.c.id).where(jobs.c.queueing_lock.in_(locks), jobs.c.status == "todo").limit(1)
    waiting = (await connection.execute(same)).scalar()
    if waiting is None:
        return AlreadyQueued(f"Two jobs of the batch for task {task.name} have the same queueing lock.")
    return AlreadyQueued(f"The task {task.name} is queued already.", task_id=waiting)
