"""The names of the tables that FastOpp's own migrations make and no model of a project describes."""

from __future__ import annotations

# The queue of tasks: procrastinate's tables, and ours beside them; and that of mails, which tasks send.
QUEUE_PREFIX = "procrastinate_"
MAILS = "mail_messages"
QUEUE_TABLES = frozenset({"task_requests", "task_runs", "task_wakes", MAILS})

# Figures of this site's processes, which are no part of its data.
MONITOR_FIGURES = "monitor_figures"
MONITOR_INSTANCES = "monitor_instances"
MONITOR_STATEMENTS = "monitor_statements"
MONITOR_TABLES = frozenset({MONITOR_FIGURES, MONITOR_INSTANCES, MONITOR_STATEMENTS})


def is_queue_table(name: str) -> bool:
    """Return whether a table belongs to the queues of tasks and mails."""
    return name.startswith(QUEUE_PREFIX) or name in QUEUE_TABLES
