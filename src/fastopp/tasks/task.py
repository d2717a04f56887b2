"""A task: a function that is run later, by a worker or a drain.

@task(retry=Retry(attempts=5))
async def remind(context: TaskContext, registrant: str) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, overload

from fastopp.tasks.errors import TaskDefinitionError
from fastopp.tasks.retry import NEVER_AGAIN, Retry

DEFAULT_QUEUE = "default"
MAX_NAME = 128  # characters of a task's and a queue's name: the width of procrastinate's columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule in cron's format, in UTC; `id` distinguishes several of one task."""

    cron: str
    id: str = ""
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """A function with a name under which it is queued. Calling it calls the function, here and now."""

    function: Callable[..., Any]
    name: str
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    """Higher ones are taken first."""
    lock: str | None = None
    """No two jobs with the same lock run at a time. `{name}` stands for the argument of that name."""
    queueing_lock: str | None = None
    """No two jobs with the same queueing lock wait at a time. `{name}` as in `lock`."""
    retry: Retry = NEVER_AGAIN
    schedules: tuple[Schedule, ...] = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function
        """Call the function."""
        return self.function(*args, **kwargs)

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def is_async(self) -> bool:
        """Whether the function runs on the event loop; others run in a thread."""
        return inspect.iscoroutinefunction(self.function)

    @cached_property
    def takes_context(self) -> bool:
        """Whether its first parameter is `context`."""
        return next(iter(inspect.signature(self.function).parameters), None) == "context"

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """Return the arguments it may be queued with, by name."""
        parameters = dict(inspect.signature(self.function).parameters)
        if self.takes_context:
            del parameters["context"]
        return parameters


@overload
def task(function: Callable[..., Any], /) -> Task: ...
@overload
def task(
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    lock: str | None = None,
    queueing_lock: str | None = None,
    retry: Retry | int | None = None,
) -> Callable[[Callable[..., Any]], Task]: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    queue: str = DEFAULT_QUEUE,
    priority: int = 0,
    lock: str | None = None,
    queueing_lock: str | None = None,
    retry: Retry | int | None = None,
) -> Task | Callable[[Callable[..., Any]], Task]:
    """Make a task of a function: `@task` or `@task(...)`.

    Parameters
    ----------
    name: under which it is queued; `<app>.<function>` by default.
    retry: a number is that of attempts, with the default pauses; without it the task is tried once.

    See `Task` for the others. Raises TaskDefinitionError.
    """
    policy = Retry(attempts=retry) if isinstance(retry, int) else retry or NEVER_AGAIN

    def decorate(function: Callable[..., Any]) -> Task:
        made = Task(
            function=function,
            name=name or _default_name(function),
            queue=queue,
            priority=priority,
            lock=lock,
            queueing_lock=queueing_lock,
            retry=policy,
        )
        _check(made)
        return made

    return decorate if function is None else decorate(function)


def periodic(*, cron: str, id: str = "", **args: Any) -> Callable[[Task], Task]:  # noqa: A002, ANN401 - cron's words
    """Queue a task by a schedule, once for each of its times over all workers: `@periodic(cron="0 3 * * *")`.

    It stands above `@task`. `cron` has five fields, in UTC; `args` are given to the task, and so is `timestamp`, the
    moment in seconds since 1970, if it has such a parameter.
    """

    def decorate(task: Task) -> Task:
        if not isinstance(task, Task):
            raise TaskDefinitionError("@periodic must be above @task.")
        if any(schedule.id == id for schedule in task.schedules):
            raise TaskDefinitionError(f"Give the schedules of task {task.name} different ids.")
        return replace(task, schedules=(*task.schedules, Schedule(cron=cron, id=id, args=args)))

    return decorate


def _default_name(function: Callable[..., Any]) -> str:
    """`<app>.<function>`: the app is the package that holds `tasks.py` or the folder `tasks`."""
    folders = function.__module__.split(".")
    app = folders[folders.index("tasks") - 1] if "tasks" in folders[1:] else folders[-1]
    return f"{app}.{function.__name__}"


def _check(task: Task) -> None:
    if not 0 < len(task.name) <= MAX_NAME or not 0 < len(task.queue) <= MAX_NAME:
        raise TaskDefinitionError(f"The name and the queue of task {task.name} have 1 to {MAX_NAME} characters.")
    if task.retry.attempts < 1:
        raise TaskDefinitionError(f"Task {task.name} must have at least one attempt.")
    for parameter in task.parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise TaskDefinitionError(f"Task {task.name} is called with named arguments; {parameter} cannot be one.")
