"""The process's data about tasks: the tasks, its limits, and the listeners to notify after queueing."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.registry import TaskRegistry

log = logging.getLogger(__name__)

Wake = Callable[[], Awaitable[object]]
Beside = Callable[[], Coroutine[Any, Any, None]]


class TaskProcess:
    """One per runtime. Making it imports and opens nothing."""

    def __init__(self, registry: TaskRegistry, wake: Wake | None = None, limits: TaskLimits | None = None) -> None:
        self.registry = registry
        self.limits = limits or TaskLimits()
        self.beside: list[Beside] = []
        """Work beside the tasks of a worker that stays, which cancels it in the end. It must not fail."""
        self._wakes: list[Wake] = [] if wake is None else [wake]

    def add_wake(self, wake: Wake) -> None:
        """Have `wake` called after each transaction that queued something has been committed."""
        self._wakes.append(wake)

    def remove_wake(self, wake: Wake) -> None:
        """Undo `add_wake`."""
        self._wakes.remove(wake)

    async def wake(self) -> None:
        """Notify all listeners that a task was queued. Errors here must not fail the queueing request."""
        for wake in tuple(self._wakes):
            await wake()
