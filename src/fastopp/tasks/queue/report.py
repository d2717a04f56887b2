"""The state of the whole queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastopp.tasks.queue.status import Status


class DrainReport(NamedTuple):
    """The result of a drain."""

    done: int = 0
    """Jobs that succeeded."""
    failed: int = 0
    """Jobs whose try failed, whether or not they will be tried again."""
    requeued: int = 0
    """Jobs that did not come to their end and went back to the queue."""
    left: int = 0
    """Jobs that could be worked now and were not."""
    time_up: bool = False
    """It ended because the budget was spent, and not because nothing was left that it may take."""
    seconds: float = 0.0


class TaskCounts(NamedTuple):
    """The numbers of jobs by status, and by queue, task and status. Ages are in seconds.

    Beyond `EXACT_UP_TO` jobs, those that succeeded are an estimate; of another status no more than that are counted.
    """

    statuses: dict[Status, int]
    groups: list[tuple[str, str, Status, int]]
    """Queue, task, status, jobs."""
    stalled: int = 0
    oldest_waiting: float | None = None
    """The age of the job that has been waiting the longest of those that could be worked now."""
    workers: int = 0
    """Workers that give signs of life; those of requests that drain the queue are among them."""
