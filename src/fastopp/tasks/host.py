"""The interface of the process that tasks run in: `fastopp.core.runtime.Runtime`, which is above this package."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.cache.cache import Cache
from fastopp.clock import Clock
from fastopp.database.session import Database
from fastopp.recorder import Recorder
from fastopp.reporting import ErrorReports
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.tasks.process import TaskProcess
from fastopp.tasks.queue.status import TaskStatus
from fastopp.tasks.task import Task
from fastopp.tracing import Tracing


class Queue(Protocol):
    """Queues tasks; see `fastopp.tasks.service.TaskService`."""

    def within(self, session: AsyncSession, /) -> Queue:
        """Return one that queues in the transaction of a session."""
        ...

    def later(self, when: datetime | timedelta, /) -> Queue:
        """Return one whose tasks run later."""
        ...

    async def queue(self, name: str | Task, /, **args: Any) -> TaskStatus:  # noqa: ANN401 - a task's own arguments
        """Queue a task."""
        ...


class Host(Protocol):
    """The settings, the database and the storage of a process."""

    @property
    def settings(self) -> Settings:
        """The settings."""
        ...

    @property
    def database(self) -> Database:
        """The database."""
        ...

    @property
    def storage(self) -> Storage:
        """The storage of uploaded files."""
        ...

    @property
    def task_process(self) -> TaskProcess:
        """The process's data about tasks."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def errors(self) -> ErrorReports:
        """Records errors."""
        ...

    @property
    def recorder(self) -> Recorder:
        """The figures of the process."""
        ...

    @property
    def shared_cache(self) -> Cache:
        """The cache of all instances."""
        ...

    @property
    def tracing(self) -> Tracing | None:
        """Sends spans to a collector; None where none is set up."""
        ...

    @property
    def tasks(self) -> Queue:
        """Queues further tasks."""
        ...
