"""Every query of procrastinate, as SQLite says it: one statement of queries.sql, or several put together here.

The functions bear the names of procrastinate's queries and take their parameters.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources

from procrastinate import exceptions, manager, schema, sql, types

from . import listings
from .schema import schema_statements
from .statements import Operation
from .values import Row, Values, moment


@dataclass(frozen=True, slots=True)
class Query:
    """How to run a query."""

    operation: Callable[..., Operation]
    """Takes `Values` and the query's own arguments."""
    atomic: bool = False
    """It may write with several statements, which take effect together."""
    notifies: bool = False
    """It may write what listeners wait for."""


@functools.cache
def statements() -> dict[str, str]:
    """SQLite's statements by name."""
    text = (resources.files(__package__ or "") / "queries.sql").read_text(encoding="utf-8")
    return {name: str(statement) for name, statement in sql.parse_query_file(text).items()}


def defer_jobs(values: Values, *, jobs: list[types.JobToDefer]) -> Operation:
    """Insert jobs, all or none; their ids in the order of the jobs. Raises ConnectorException for a NUL in a name."""
    if any(
        "\0" in text for job in jobs for text in (job.queue_name, job.task_name, job.lock, job.queueing_lock) if text
    ):
        raise exceptions.ConnectorException("A NUL character is refused: SQLite would end the text there.")
    batch = [
        {
            **job._asdict(),
            "args": values.dumps(job.args),
            "scheduled_at": moment(job.scheduled_at) if job.scheduled_at else None,
        }
        for job in jobs
    ]
    try:
        rows = yield statements()["insert_jobs"], {"jobs": json.dumps(batch, ensure_ascii=False)}
    except sqlite3.IntegrityError as error:
        if not _is_queueing_lock(error):
            raise
        taken = yield from _first_taken(job.queueing_lock for job in jobs)
        raise _queueing_lock_taken(taken) from error
    return sorted(rows, key=lambda row: int(row["id"]))


def _first_taken(locks: Iterable[str | None]) -> Operation:
    """The first of these queueing locks that a waiting job has, or another of these; in a row, if it is still so."""
    seen = set()
    for lock in locks:
        if lock is None:
            continue
        parameters = {"queueing_lock": lock}
        if lock in seen or (yield statements()["find_queueing_lock"], parameters):
            return [parameters]
        seen.add(lock)
    return []


def _queueing_lock_taken(rows: list[Row]) -> exceptions.UniqueViolation:
    lock = rows[0]["queueing_lock"] if rows else None
    return exceptions.UniqueViolation(constraint_name=manager.QUEUEING_LOCK_CONSTRAINT, queueing_lock=lock)


def _is_queueing_lock(error: sqlite3.IntegrityError) -> bool:
    return str(error).endswith("procrastinate_jobs.queueing_lock")


def defer_periodic_job(
    values: Values,
    *,
    queue: str,
    lock: str | None,
    queueing_lock: str | None,
    task_name: str,
    priority: int,
    periodic_id: str,
    defer_timestamp: int,
    args: types.JSONDict,
) -> Operation:
    """Insert a periodic task's job for a slot, unless that is done; its id, or NULL."""
    slot = {"task_name": task_name, "periodic_id": periodic_id, "defer_timestamp": defer_timestamp}
    taken = yield statements()["insert_periodic_defer"], slot
    if not taken:
        return [{"id": None}]
    job = types.JobToDefer(queue, task_name, priority, lock, queueing_lock, args, scheduled_at=None)
    deferred = yield from defer_jobs(values, jobs=[job])
    yield statements()["link_periodic_defer"], {"job_id": deferred[0]["id"], "id": taken[0]["id"]}
    yield statements()["delete_periodic_defers"], slot
    return deferred


def fetch_job(_values: Values, *, queues: Iterable[str] | None, worker_id: int) -> Operation:
    """Take the first job that may run; a row of NULLs when there is none."""
    chosen = None if queues is None else json.dumps(list(queues))
    rows = yield statements()["fetch_job"], {"queues": chosen, "worker_id": worker_id}
    return rows or [dict.fromkeys(_FETCHED)]


_FETCHED = (
    *("id", "status", "task_name", "priority", "lock", "queueing_lock", "args", "scheduled_at", "queue_name"),
    *("attempts", "worker_id"),
)


def finish_job(_values: Values, *, job_id: int, status: str, delete_job: bool) -> Operation:
    """Finish a job, or delete it. Raises ConnectorException when it is neither waiting nor running."""
    if status not in {"succeeded", "failed", "aborted"}:
        raise exceptions.ConnectorException(
            f'End status should be either "succeeded", "failed" or "aborted" (job id: {job_id})'
        )
    name = "finish_job_deleting" if delete_job else "finish_job"
    rows = yield statements()[name], {"job_id": job_id, "status": status}
    if not rows:
        raise exceptions.ConnectorException(f'Job was not found or not in "doing" or "todo" status (job id: {job_id})')
    return []


def cancel_job(_values: Values, *, job_id: int, abort: bool, delete_job: bool) -> Operation:
    """Cancel a waiting job, or delete it; ask a running one to abort. Its id, or NULL when nothing was done."""
    rows: list[Row] = []
    if delete_job:
        rows = yield statements()["cancel_job_deleting"], {"job_id": job_id}
    if not rows:
        rows = yield statements()["abort_job" if abort else "cancel_job"], {"job_id": job_id}
    return rows or [{"id": None}]


def retry_job(
    _values: Values,
    *,
    job_id: int,
    retry_at: dt.datetime,
    new_priority: int | None,
    new_queue_name: str | None,
    new_lock: str | None,
) -> Operation:
    """Put a running or failed job back; a running one that is asked to abort fails. Raises ConnectorException else."""
    parameters = {
        "job_id": job_id,
        "retry_at": retry_at,
        "new_priority": new_priority,
        "new_queue_name": new_queue_name,
        "new_lock": new_lock,
    }
    try:
        rows = yield statements()["retry_job"], parameters
    except sqlite3.IntegrityError as error:
        if not _is_queueing_lock(error):
            raise
        raise _queueing_lock_taken((yield statements()["get_queueing_lock"], {"job_id": job_id})) from error
    if not rows:
        rows = yield statements()["retry_aborted_job"], {"job_id": job_id}
    if not rows:
        raise exceptions.ConnectorException(f"Job was not found or has an invalid status to retry (job id: {job_id})")
    return []


def delete_old_jobs(_values: Values, *, nb_hours: float, queue: str | None, statuses: Iterable[str]) -> Operation:
    """Delete jobs whose last event is that old, some at a time so that no other waits long for the lock."""
    parameters = {"nb_hours": nb_hours, "queue": queue, "statuses": json.dumps(list(statuses)), "after": 0}
    while rows := (yield statements()["delete_old_jobs"], parameters):
        parameters["after"] = max(row["id"] for row in rows)
    return []


def apply_schema(_values: Values) -> Operation:
    """Make the tables."""
    for statement in schema_statements():
        yield statement, {}
    return []


def plain(statement: str) -> Callable[..., Operation]:
    """An operation of one statement, whose parameters are the arguments."""

    def operation(_values: Values, **arguments: object) -> Operation:
        return (yield statement, arguments)

    return operation


def foreign(query: str) -> Query:
    """SQL that is none of procrastinate's queries: as it stands, but for parameters in the style of `%(name)s`."""
    statement = re.sub(r"%\((\w+)\)s|%%", lambda match: f":{match[1]}" if match[1] else "%", query)
    return Query(plain(statement))


def _unknown(name: str) -> Callable[..., Operation]:
    def operation(_values: Values, **_arguments: object) -> Operation:
        raise exceptions.ConnectorException(f"SQLiteConnector does not know procrastinate's query {name!r}.")

    return operation


def by_name() -> dict[str, Query]:
    """Every query by procrastinate's name for it."""
    composed = {
        "defer_jobs": Query(defer_jobs, notifies=True),
        "defer_periodic_job": Query(defer_periodic_job, atomic=True, notifies=True),
        "fetch_job": Query(fetch_job),
        "finish_job": Query(finish_job),
        "cancel_job": Query(cancel_job, atomic=True, notifies=True),
        "retry_job": Query(retry_job, atomic=True),
        "delete_old_jobs": Query(delete_old_jobs),
        "list_jobs": Query(listings.list_jobs),
        "list_queues": Query(listings.list_queues),
        "list_tasks": Query(listings.list_tasks),
        "list_locks": Query(listings.list_locks),
    }
    return {name: Query(plain(statement)) for name, statement in statements().items()} | composed


def by_text() -> dict[str, Query]:
    """Every query by the text that procrastinate gives to a connector."""
    known = by_name()
    queries = {str(text): known.get(name) or Query(_unknown(name)) for name, text in sql.queries.items()}
    tables = Query(apply_schema, atomic=True)
    text = str(schema.SchemaManager.get_schema())
    return {**queries, text: tables, text.replace("%", "%%"): tables}  # a SchemaManager doubles the signs
