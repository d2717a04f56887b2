"""Errors of tasks, which are returned to requests and stored in a task's row."""

from __future__ import annotations

from typing import Any

from fastopp.errors import Conflict, FastOppError, NotFound


class TaskUnknown(NotFound):
    """There is no task of that name."""


class TaskMissing(NotFound):
    """There is no such task. Old tasks are deleted."""


class TaskArguments(FastOppError):
    """The arguments do not fit the task."""

    status = 422


class TaskTooBig(FastOppError):
    """The arguments are too large for a queue."""

    status = 413
    hint = "Store the data, as an uploaded file for example, and give the task its key."


class TaskConflict(Conflict):
    """The task's state does not allow this."""

    def __init__(self, message: str | None = None, *, task_id: int | None = None, hint: str | None = None) -> None:
        self.task_id = task_id
        super().__init__(message, hint=hint)
        self.extensions: dict[str, Any] = {} if task_id is None else {"task_id": task_id}


class AlreadyQueued(TaskConflict):
    """The same task is already waiting."""


class AlreadyRunning(TaskConflict):
    """The same task is already running."""


class TaskDefinitionError(FastOppError):
    """A task is defined in a way that cannot work."""


class TaskResultError(FastOppError):
    """The task returned a value that is not valid JSON."""

    hint = "Return None, or numbers, texts, lists and dictionaries; store anything larger and return its key."


class TaskTimeUp(FastOppError):
    """The time was up, and the task did not stop when asked to."""

    hint = "Call `context.should_stop()` regularly, save a checkpoint and raise `Unfinished`."


class WorkerDied(FastOppError):
    """The process that ran the task died or was frozen."""


class JobLost(FastOppError):
    """The job is no longer this worker's: it was frozen for too long, and another has taken the job over."""


class Unfinished(Exception):
    """Raise this in a task that has saved a checkpoint: it returns to the queue at once, and no attempt is counted."""
