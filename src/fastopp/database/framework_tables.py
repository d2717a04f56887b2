"""The names of the tables that FastOpp's own migrations make and no model of a project describes."""

from __future__ import annotations

# The queue of tasks: procrastinate's tables, and ours beside them; and that of mails, which tasks send.
QUEUE_PREFIX = "procrastinate_"
MAILS = "mail_messages"
QUEUE_TABLES = frozenset({"task_requests", "task_runs", "task_traces", "task_wakes", MAILS})

# What is kept of errors.
ERROR_GROUPS = "error_groups"
ERROR_EVENTS = "error_events"
ERROR_TABLES = frozenset({ERROR_GROUPS, ERROR_EVENTS})

# Figures of this site's processes, which are no part of its data.
MONITOR_FIGURES = "monitor_figures"
MONITOR_INSTANCES = "monitor_instances"
MONITOR_STATEMENTS = "monitor_statements"
MONITOR_TABLES = frozenset({MONITOR_FIGURES, MONITOR_INSTANCES, MONITOR_STATEMENTS})

# The cache of all instances.
CACHE_ENTRIES = "cache_entries"
CACHE_TAGS = "cache_tags"
CACHE_TABLES = frozenset({CACHE_ENTRIES, CACHE_TAGS})

# Alerts: incidents, the state of rules, leases.
ALERT_INCIDENTS = "alert_incidents"
ALERT_RULES = "alert_rules"
ALERT_LEASES = "alert_leases"
ALERT_TABLES = frozenset({ALERT_INCIDENTS, ALERT_RULES, ALERT_LEASES})


def is_queue_table(name: str) -> bool:
    """Return whether a table belongs to the queues of tasks and mails."""
    return name.startswith(QUEUE_PREFIX) or name in QUEUE_TABLES


def is_of_this_database(name: str) -> bool:
    """Return whether the rows of a table belong to this database alone: a backup leaves them out."""
    own = ERROR_TABLES | MONITOR_TABLES | CACHE_TABLES | ALERT_TABLES
    return is_queue_table(name) or name in own
