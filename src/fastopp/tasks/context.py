"""The context of a running task."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.clock import from_now
from fastopp.tasks.errors import JobLost
from fastopp.tasks.failure import storable
from fastopp.tasks.limits import MAX_MESSAGE, PROGRESS_INTERVAL
from fastopp.tasks.models import jobs, runs
from fastopp.tasks.outcome import Run

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

log = logging.getLogger(__name__)

_BIGGEST = 2**63 - 1


class TaskContext:
    """One attempt of a job; passed to a task as its first parameter, if that is named `context`.

    A plain function, which runs in a thread, calls the asynchronous methods with `anyio.from_thread.run`; the others
    may be called from anywhere.

    Parameters
    ----------
    attempt: 1 for the first try.
    place: the checkpoint of an earlier attempt; any JSON.
    report: writes progress, and returns whether the job is still ours.
    save: does so with the place.
    asked_to_stop: whether the process is to end, or the job was cancelled, or it is not ours any more.
    deadline: when to stop, by the runtime's monotonic clock.
    """

    def __init__(
        self,
        *,
        runtime: Host,
        job_id: int,
        worker_id: int,
        name: str,
        attempt: int,
        place: dict[str, Any] | None,
        report: Callable[[Run], Awaitable[bool]],
        save: Callable[[dict[str, Any]], Awaitable[bool]],
        asked_to_stop: Callable[[], bool],
        deadline: float | None,
    ) -> None:
        self.runtime = runtime
        self.job_id = job_id
        self.name = name
        self.attempt = attempt
        self.place: dict[str, Any] = place or {}
        self._saved_place = copy.deepcopy(self.place) if self.place else {}
        self._worker_id = worker_id
        self._report = report
        self._save = save
        self._asked_to_stop = asked_to_stop
        self._deadline = deadline
        self._done, self._total, self._message = 0, None, ""  # type: int, int | None, str
        self._written_at = float("-inf")
        self._later: asyncio.Task[None] | None = None
        self._transactions = 0  # under way
        self._between = asyncio.Event()
        self._between.set()
        self._told = place is not None
        self._finished = False
        self._closed = False

    async def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Report progress. Written twice a second at most, so it may be called for every item. Raises JobLost.

        Progress within a transaction is written when that is over: SQLite has one writer at a time.
        """
        self._done, self._total = _whole(done), None if total is None else _whole(total)
        self._message = storable(message[:MAX_MESSAGE])
        self._told = True
        wait = self._written_at + PROGRESS_INTERVAL - self.runtime.clock.monotonic()
        if wait <= 0 and not self._transactions:
            await self._write()
        elif self._later is None:
            # Do not delay this until the next call, which may be an hour away.
            self._later = asyncio.create_task(self._write_later(max(wait, 0.0)), name=f"progress of job {self.job_id}")

    async def save_place(self, place: dict[str, Any] | None = None) -> None:
        """Keep `place` (the argument, or else `self.place` as it is now) for the next try. Raises JobLost.

        Within a transaction it is kept by that one's commit.
        """
        if place is not None:
            self.place = place
        self._told = True
        if self._transactions:
            return
        saved = copy.deepcopy(self.place)
        if self._closed or not await self._save(saved):
            raise JobLost
        self._saved_place = saved

    def should_stop(self) -> bool:
        """Return whether to save the place and raise `Unfinished`, soon.

        So it is when time is nearly up, when the process is to end, when the job was cancelled, and when it
        is no longer ours.
        """
        return self._asked_to_stop() or self.budget_left() == 0

    def budget_left(self) -> float | None:
        """Seconds until `should_stop` will say so because of the time; None where there is no limit."""
        return None if self._deadline is None else max(0.0, self._deadline - self.runtime.clock.monotonic())

    @asynccontextmanager
    async def transaction(self, *, finish: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed only while the job is ours; raises JobLost, and rolls back, when it is not.

        `self.place` is saved by the same commit, so a later try knows what was done; when there is none, it is again
        what it was before. With `finish`, so is the job's success: then its writes happen exactly once, even if the
        process fails.
        """
        place, before = self.place, copy.deepcopy(self.place)
        committing = False
        self._transactions += 1
        self._between.clear()
        try:
            async with self._fenced(finish=finish) as session:
                yield session
                committing = True
        except BaseException:
            # Saved later, it would say that something was done which is not there.
            place.clear()
            place.update(before)
            self.place = place
            if committing:
                # Nor is this one to be saved: the commit may have arrived though its answer has not.
                self._saved_place = copy.deepcopy(before)
            raise
        else:
            self._saved_place = copy.deepcopy(self.place)
            self._finished = self._finished or finish
        finally:
            self._transactions -= 1
            if not self._transactions:
                self._between.set()

    @asynccontextmanager
    async def _fenced(self, *, finish: bool) -> AsyncIterator[AsyncSession]:
        async with self.runtime.database.transaction() as session:
            yield session
            await session.flush()
            connection = await session.connection()
            mine = (jobs.c.id == self.job_id, jobs.c.worker_id == self._worker_id, jobs.c.status == "doing")
            # The lock keeps others from taking the job over until the commit.
            fence: Any = select(jobs.c.id, *self._freezing_limit()).where(*mine).with_for_update()
            if finish:
                ended: dict[str, Any] = {
                    "status": "succeeded", "attempts": jobs.c.attempts + 1, "abort_requested": False, "worker_id": None
                }  # fmt: skip
                fence = update(jobs).where(*mine).values(ended).returning(jobs.c.id, *self._freezing_limit())
            if self._closed or (await connection.execute(fence)).first() is None:
                raise JobLost
            if finish or self.place != self._saved_place:
                self._told = True
                await connection.execute(self._keep())

    def _freezing_limit(self) -> list[Any]:
        """Milliseconds after which PostgreSQL rolls back for a process that was frozen just before its commit.

        Until then it holds its job, and a take-over waits for that.
        """
        if self.runtime.database.url.backend != "postgresql":
            return []
        limit = f"{self.runtime.task_process.limits.stalled_after * 1000:.0f}"
        return [func.set_config("idle_in_transaction_session_timeout", limit, literal(value=True))]

    @property
    def has_place_to_keep(self) -> bool:
        """Whether the place is not the one that was saved last, nor one that a transaction under way may yet undo."""
        return not self._transactions and self.place != self._saved_place

    @property
    def finished(self) -> bool:
        """Whether the job has ended with a transaction."""
        return self._finished

    def run(self, *, result: Any = None, error: str = "") -> Run | None:  # noqa: ANN401 - what JSON holds
        """All that is to be kept at the end of this try; None when that is nothing, and nothing was kept before."""
        if not (self._told or self.attempt > 1 or result is not None or error):
            return None
        return Run(done=self._done, total=self._total, message=self._message, result=result, error=error)

    async def keep_result(self, result: Any) -> None:  # noqa: ANN401 - what JSON holds
        """Write the result of a job that has ended with a transaction. It is not worth failing for."""
        try:
            async with self.runtime.database.transaction() as session:
                connection = await session.connection()
                await connection.execute(update(runs).where(runs.c.job_id == self.job_id).values(result=result))
        except (DatabaseUnavailable, DBAPIError) as error:
            log.warning("The result of job %d could not be kept: %s", self.job_id, error)

    def close(self) -> None:
        """Write no more, even if the function does not end: the next attempt may be this worker's, too."""
        self._closed = True
        if self._later is not None:
            self._later.cancel()

    async def _write(self) -> None:
        self._written_at = self.runtime.clock.monotonic()
        if self._later is not None and self._later is not asyncio.current_task():
            self._later.cancel()
        self._later = None
        run = self.run()
        if run is not None and (self._closed or not await self._report(run)):
            raise JobLost

    async def _write_later(self, wait: float) -> None:
        await self.runtime.clock.sleep(wait)
        await self._between.wait()
        try:
            await self._write()
        except JobLost:
            return  # the next writer gets the error

    def _keep(self) -> Any:  # noqa: ANN401 - an Insert of either dialect
        kept = {
            "done": self._done, "total": self._total, "message": self._message, "place": self.place or None,
            "error": "", "updated_at": from_now(),
        }  # fmt: skip
        insert = postgresql.insert if self.runtime.database.url.backend == "postgresql" else sqlite.insert
        statement = insert(runs).values(job_id=self.job_id, **kept)
        return statement.on_conflict_do_update(index_elements=[runs.c.job_id], set_=kept)


def _whole(number: float) -> int:
    """Return the value of the column, in any unit of the task's."""
    return max(-_BIGGEST, min(int(number), _BIGGEST))
