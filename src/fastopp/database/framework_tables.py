"""The names of the tables that FastOpp's own migrations make and no model of a project describes."""

from __future__ import annotations

# The queue of tasks: procrastinate's tables, and ours beside them; and that of mails, which tasks send.
QUEUE_PREFIX = "procrastinate_"
MAILS = "mail_messages"
QUEUE_TABLES = frozenset({"task_requests", "task_runs", "task_wakes", MAILS})

CACHE_ENTRIES = "cache_entries"
CACHE_TAGS = "cache_tags"
CACHE_TABLES = frozenset({CACHE_ENTRIES, CACHE_TAGS})


def is_queue_table(name: str) -> bool:
    """Return whether a table belongs to the queues of tasks and mails."""
    return name.startswith(QUEUE_PREFIX) or name in QUEUE_TABLES


def is_passing(name: str) -> bool:
    """Return whether a table holds what only this database needs, now: the queues and the cache."""
    return is_queue_table(name) or name in CACHE_TABLES
