"""Tasks from the outside: queue them, look at them, work them. It is `runtime.tasks`, or `TasksDep` in a handler."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.session import after_commit
from fastopp.errors import FastOppError
from fastopp.tasks.queue.report import DrainReport, TaskCounts
from fastopp.tasks.task import Task
from fastopp.tasks.traced import traceparent_of

if TYPE_CHECKING:
    from fastopp.tasks.host import Host
    from fastopp.tasks.idempotency import RequestKey
    from fastopp.tasks.queue.status import Status, TaskStatus

INIT_TASK = "init-demo"
BACKUP_TASK = "backup-files"
RESTORE_TASK = "restore-files"


class NoRuntime(FastOppError):
    """A TaskService belongs to a running application."""

    hint = "Ask for `TasksDep` in a handler, or take `runtime.tasks` of `open_runtime(Settings())`."


class TaskService:
    """Queue, list, cancel and retry tasks. Creating a service does not connect to anything."""

    def __init__(
        self,
        runtime: Host | None = None,
        *,
        session: AsyncSession | None = None,
        at: datetime | None = None,
        key: RequestKey | None = None,
    ) -> None:
        if runtime is None:
            raise NoRuntime
        self._runtime = runtime
        self._session = session
        self._at = at
        self._key = key

    @property
    def known(self) -> tuple[Task, ...]:
        """All tasks of the project. The first call imports the apps' tasks."""
        return tuple(self._runtime.task_process.registry.values())

    def within(self, session: AsyncSession) -> TaskService:
        """The same, in a transaction of the caller: what is queued is there if and when that is committed."""
        return TaskService(self._runtime, session=session, at=self._at, key=self._key)

    def later(self, when: datetime | timedelta) -> TaskService:
        """The same, for what is not to start before a moment (aware) or for a while."""
        moment = self._runtime.clock.now() + when if isinstance(when, timedelta) else when
        return TaskService(self._runtime, session=self._session, at=moment, key=self._key)

    def once(self, key: RequestKey | None) -> TaskService:
        """The same, for a request that may be delivered again: `queue` and `run` return the job of the first time."""
        return TaskService(self._runtime, session=self._session, at=self._at, key=key)

    async def queue(self, name: str | Task, /, **args: Any) -> TaskStatus:  # noqa: ANN401 - the task's own arguments
        """Queue a task. Raises TaskUnknown, TaskArguments, TaskTooBig, AlreadyQueued, KeyReused."""
        from fastopp.tasks.queue.defer import defer  # noqa: PLC0415 - SQLAlchemy's tables, where something is queued

        task, wake, traceparent = self._find(name), self._runtime.task_process.wake, self._traceparent
        if self._key is not None:
            from fastopp.tasks.queue.keyed import defer_once  # noqa: PLC0415 - as above

            async with self._writing() as session:
                status = await defer_once(self._runtime, session, self._key, task, args, at=self._at)
                after_commit(session, wake)
        elif self._session is None and not traceparent:
            async with self._runtime.database.autocommit() as connection:
                status = await defer(connection, task, args, self._runtime.clock, at=self._at)
            await wake()
        else:
            async with self._writing() as session:
                connection = await session.connection()
                status = await defer(connection, task, args, self._runtime.clock, at=self._at, traceparent=traceparent)
                after_commit(session, wake)
        return status

    async def queue_many(self, name: str | Task, many: Iterable[Mapping[str, Any]], /) -> builtins.list[int]:
        """Queue a job of a task for the arguments of each, and return their ids in that order.

        Either all are queued, or, when an error is raised, none. `once` has no part in it. Raises as `queue`.
        """
        from fastopp.tasks.queue.defer import keep_traceparent  # noqa: PLC0415 - as above
        from fastopp.tasks.queue.defer_many import defer_many  # noqa: PLC0415 - as above

        async with self._writing() as session:
            connection = await session.connection()
            ids = await defer_many(connection, self._find(name), many, at=self._at)
            if traceparent := self._traceparent:
                await keep_traceparent(connection, ids, traceparent)
            after_commit(session, self._runtime.task_process.wake)
        return ids

    async def queue_init_task(self) -> TaskStatus:
        """Queue the initialisation: tables, sample data, accounts."""
        return await self.queue(INIT_TASK)

    async def queue_backup_task(self) -> TaskStatus:
        """Queue the backup of the uploaded files."""
        return await self.queue(BACKUP_TASK)

    async def queue_restore_task(self) -> TaskStatus:
        """Queue the restoring of the uploaded files from their backup."""
        return await self.queue(RESTORE_TASK)

    async def get(self, id: int) -> TaskStatus:  # noqa: A002 - what it is
        """One job. Raises TaskMissing."""
        from fastopp.tasks.queue import reading  # noqa: PLC0415 - SQLAlchemy's tables, where something is read

        async with self._reading() as session:
            return await reading.get(session, id, stalled_after=self._stalled_after)

    async def list(
        self,
        *,
        status: Status | None = None,
        name: str | None = None,
        queue: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> builtins.list[TaskStatus]:
        """Jobs, the newest first; `before` is the id of the last one of the page before."""
        from fastopp.tasks.queue import reading  # noqa: PLC0415 - as above

        async with self._reading() as session:
            return await reading.find(
                session,
                status=status,
                name=name,
                queue=queue,
                limit=limit,
                before=before,
                stalled_after=self._stalled_after,
            )

    async def counts(self) -> TaskCounts:
        """Return the number of each."""
        from fastopp.tasks.queue import reading  # noqa: PLC0415 - as above

        async with self._reading() as session:
            return await reading.count(session, self._runtime.clock, stalled_after=self._stalled_after)

    async def cancel(self, id: int, *, abort: bool = True) -> TaskStatus:  # noqa: A002 - as above
        """Cancel a waiting job; ask a running one to stop, if `abort`. Raises TaskMissing, TaskConflict."""
        from fastopp.tasks.queue import steering  # noqa: PLC0415 - as above

        async with self._writing() as session:
            return await steering.cancel(session, id, abort=abort, stalled_after=self._stalled_after)

    async def retry(self, id: int) -> TaskStatus:  # noqa: A002 - as above
        """Queue a failed or cancelled job again, or let one that is scheduled start now.

        What it has saved of its place stays. Raises TaskMissing, TaskConflict.
        """
        from fastopp.tasks.queue import steering  # noqa: PLC0415 - as above

        async with self._writing() as session:
            status = await steering.retry(session, id, stalled_after=self._stalled_after)
            after_commit(session, self._runtime.task_process.wake)
        return status

    async def drain(self, budget: timedelta | None, *, limit: int | None = None) -> DrainReport:
        """Work the queue until it is empty, the budget (None: any) is spent, or `limit` jobs were taken.

        It ends within the budget and some two seconds. Raises DatabaseUnavailable, TablesMissing.
        """
        from fastopp.tasks.worker.drain import drain  # noqa: PLC0415 - imported where tasks are worked

        return await drain(self._runtime, budget, limit=limit)

    async def run(self, name: str | Task, budget: timedelta | None, /, **args: Any) -> TaskStatus:  # noqa: ANN401 - as `queue`
        """Queue a task, or take the one with the same arguments that waits, has failed or is stalled, and work that
        one here and now. Raises AlreadyRunning besides what `queue` and `drain` raise.

        The answer's status is "waiting" or "scheduled" when it did not come to its end.
        """
        from fastopp.tasks.worker.single import run_single  # noqa: PLC0415 - imported where tasks are worked

        return await run_single(self._runtime, self._find(name), args, budget, self._key)

    @property
    def _stalled_after(self) -> float:
        return self._runtime.task_process.limits.stalled_after

    @property
    def _traceparent(self) -> str:
        return traceparent_of(self._runtime)

    def _find(self, name: str | Task) -> Task:
        return self._runtime.task_process.registry.find(name.name if isinstance(name, Task) else name)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncSession]:
        if self._session is not None:
            yield self._session
        else:
            async with self._runtime.database.read() as session:
                yield session

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        if self._session is not None:
            yield self._session
        else:
            async with self._runtime.database.transaction() as session:
                yield session
