"""Procrastinate's lists: jobs, and counts of them by queue, task or lock."""

from __future__ import annotations

from .statements import Operation
from .values import Values

_COLUMNS = (
    "id, queue_name, task_name, priority, lock, queueing_lock, args, status, scheduled_at, attempts, abort_requested, "
    "worker_id"
)


def list_jobs(_values: Values, **filters: object) -> Operation:
    """Jobs by id that have every value which is not None."""
    where = _where(filters)
    return (yield f"SELECT {_COLUMNS} FROM procrastinate_jobs WHERE {where} ORDER BY id", filters)  # noqa: S608 - see _where


def list_queues(_values: Values, **filters: object) -> Operation:
    """Each queue with its jobs counted by status."""
    return (yield _counts("queue_name", filters), filters)


def list_tasks(_values: Values, **filters: object) -> Operation:
    """Each task with its jobs counted by status."""
    return (yield _counts("task_name", filters), filters)


def list_locks(_values: Values, **filters: object) -> Operation:
    """Each lock with its jobs counted by status."""
    return (yield _counts("lock", filters), filters)


def _counts(column: str, filters: dict[str, object]) -> str:
    return f"""
    SELECT name, sum(jobs) AS jobs_count, json_group_object(status, jobs) AS stats FROM (
        SELECT {column} AS name, status, count(*) AS jobs FROM procrastinate_jobs
        WHERE {_where(filters)} AND {column} IS NOT NULL GROUP BY {column}, status
    ) GROUP BY name ORDER BY name
    """  # noqa: S608 - see _where


def _where(filters: dict[str, object]) -> str:
    """Conditions for the filters that are set, so that an index serves them. Only columns are named, no value."""
    columns = [name for name, value in filters.items() if value is not None and name in _COLUMNS.split(", ")]
    return " AND ".join(["true", *(f"{column} = :{column}" for column in columns)])
