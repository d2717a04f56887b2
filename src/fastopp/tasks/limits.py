"""The times and sizes of tasks, and where each comes from."""

from __future__ import annotations

MAX_ARGUMENTS = 5 * 1024 * 1024
"""Bytes of arguments as JSON. What LeapCell lets an async call carry, so that a task may always be started by one."""

HEARTBEAT_INTERVAL = 10.0
"""Seconds between two signs of life of a worker. procrastinate's own; three of them fit into `STALLED_AFTER`."""

STALLED_AFTER = 30.0
"""Seconds without a sign of life, in database time, after which a worker counts as dead and its jobs are taken over.

procrastinate's own. A database that is away for ten seconds, or a busy event loop, costs one or two signs, not three.
"""

UNSURE = 60.0
"""Seconds after the database was away in which a worker looks for jobs that are its own without its knowing."""

INTERRUPTIONS = 10
"""How often a job that was started may end with its process, or with the time it had, before it counts as failed.

Neither says that the job is at fault, so it is tried again whatever its `Retry`; a job that takes its process down
each time, or never ends, is not to do so for ever.
"""

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
