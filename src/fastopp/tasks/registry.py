"""The tasks of a project by name: those of its apps, and FastOpp's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Protocol

from fastopp.tasks.errors import TaskDefinitionError, TaskUnknown
from fastopp.tasks.task import Task


class TaskSource(Protocol):
    """An app, or another object that defines tasks."""

    @property
    def package(self) -> str:
        """Its import path, for messages."""
        ...

    def tasks(self) -> Sequence[Task]:
        """Import and return its tasks."""
        ...


class TaskRegistry(Mapping[str, Task]):
    """Finds tasks by name. The apps' `tasks.py` are imported when the first one is looked for."""

    def __init__(self, apps: Iterable[TaskSource]) -> None:
        self._apps = tuple(apps)

    def find(self, name: str) -> Task:
        """A task. Raises TaskUnknown."""
        try:
            return self._tasks[name]
        except KeyError:
            # The name is untrusted: it is shortened, as one line.
            raise TaskUnknown(f"There is no task {name[:80]!r}.") from None

    def __getitem__(self, name: str) -> Task:
        return self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    @cached_property
    def _tasks(self) -> dict[str, Task]:
        found: dict[str, Task] = {}
        for app in self._apps:
            for task in app.tasks():
                if found.setdefault(task.name, task) is not task:
                    raise TaskDefinitionError(
                        f"Two tasks are named {task.name!r}; one of them is in {app.package}.",
                        hint="Give one of them another name: @task(name=…).",
                    )
        return found
