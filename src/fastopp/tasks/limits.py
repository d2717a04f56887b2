"""The times and sizes of tasks, and where each comes from."""

from __future__ import annotations

from dataclasses import dataclass

from fastopp.platforms import strictest
from fastopp.tasks.retry import Retry

MAX_ARGUMENTS = strictest.ASYNC_BODY
"""Bytes of arguments as JSON: what an async call can carry, so that a task may always be started by one."""

UNSURE = 60.0
"""Seconds after the database was away in which a worker looks for jobs that are its own without its knowing."""

PROGRESS_INTERVAL = 0.5
"""Seconds between two writes of a task's progress. People look every second."""

MAX_ERROR = 8_000
"""Characters of an error that are kept: the message and the end of the traceback."""

MAX_MESSAGE = 500
"""Characters of a progress message that are kept."""

MAX_PERIODIC_DELAY = 24 * 3600.0
"""Seconds that a moment of a time table may be past when a worker or a drain comes.

Only the last moment is served then. A day, so that where work is done only by a cron job that calls an hour or half a
day late, no daily task is left out.
"""

DATABASE_AWAY = Retry(first=1.0, factor=2.0, longest=60.0)
"""A database outage is not a failure of the task, regardless of its `Retry`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLimits:
    """The limits of a process's workers and drains. All processes that share a queue need the same `stalled_after`."""

    heartbeat_interval: float = 10.0
    """Seconds between two signs of life of a worker. procrastinate's own; three of them fit into `stalled_after`."""

    stalled_after: float = 30.0
    """Seconds without a sign of life, in database time, after which a worker counts as dead and its jobs are taken
    over.

    procrastinate's own. A database that is away for ten seconds, or a busy event loop, costs one or two signs, not
    three.
    """

    look_for_stalled: float = 15.0
    """Seconds between two looks for stalled jobs: half the time after which one counts as stalled."""

    poll: float = 5.0
    """Seconds between two looks for jobs, besides being notified of them."""

    pooled_poll: float = 1.0
    """The same where a pooler keeps notifications from a worker."""

    restart_pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
    """Seconds until a worker that could not start, or failed, is started again; the last one repeats."""

    cancel_grace: float = 2.0
    """Seconds that a function may take to clean up after it was cancelled; then it is detached."""

    interruptions: int = 10
    """The number of times that a started job may end with its process, or with its time, before it counts as failed.

    Neither says that the job is at fault, so it is retried regardless of its `Retry`; but a job that takes its process
    down each time, or never ends, must fail in the end.
    """

    database_away: Retry = DATABASE_AWAY
    """The pauses after the application's database could not be reached; `interruptions` says how often."""
