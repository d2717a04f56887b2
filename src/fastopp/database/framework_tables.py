"""The names of the tables that FastOpp's own migrations make and no model describes."""

from __future__ import annotations

# The queue of tasks: procrastinate's tables, and ours beside them.
QUEUE_PREFIX = "procrastinate_"
QUEUE_TABLES = frozenset({"task_requests", "task_runs", "task_wakes"})


def is_queue_table(name: str) -> bool:
    """Return whether a table belongs to the queue of tasks."""
    return name.startswith(QUEUE_PREFIX) or name in QUEUE_TABLES
