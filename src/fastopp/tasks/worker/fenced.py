"""procrastinate's JobManager for one worker: it changes only jobs that are the worker's own, and many at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

from procrastinate import exceptions, jobs
from procrastinate.manager import JobManager, NotificationCallback

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.tasks.limits import UNSURE, TaskLimits
from fastopp.tasks.outcome import Outcome
from fastopp.tasks.worker.finisher import Finisher
from fastopp.tasks.worker.listen import Listen
from fastopp.tasks.worker.notifications import Notifications
from fastopp.tasks.worker.pace import Pace
from fastopp.tasks.worker.store import JobStore

log = logging.getLogger(__name__)

GIVE_BACK_AFTER = 1.0
"""Seconds after which it gives jobs back that it could not begin, since the one before took longer than usual."""

_A_LITTLE = 0.005  # seconds; the database's clock is not to be a hair behind


class FencedJobManager(JobManager):
    """The queries of procrastinate's Worker, answered for `concurrency` concurrent jobs.

    The Worker is to be given a higher concurrency: a job whose function has returned, and whose end is being written,
    does not keep the next one from starting.

    Parameters
    ----------
    store: the database.
    concurrency: functions that run at a time.
    only: the id of the one job to work.
    limit: jobs to take at most.
    stop_when_idle: stop when no job is left to take and none is running.
    listen: notifies of tasks queued elsewhere.
    queued: called when this worker has queued a periodic job that it may not work itself.
    """

    def __init__(
        self,
        store: JobStore,
        *,
        concurrency: int,
        only: int | None = None,
        limit: int | None = None,
        stop_when_idle: bool = False,
        listen: Listen | None = None,
        queued: Callable[[], Awaitable[object]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        limits: TaskLimits | None = None,
    ) -> None:
        super().__init__(store.connector)
        self._clock = clock
        self._limits = limits or TaskLimits()
        self.store = store
        self.worker_id: int | None = None
        self._in_hand: Counter[int] = Counter()  # one that was put back may be here again before its first end is over
        self.outcomes: dict[int, Outcome] = {}
        """The outcomes of running jobs that have ended."""
        self.stopping = asyncio.Event()
        self.lost = False
        """Others take this worker for dead, and may have its jobs."""
        self.taken = 0
        self.stop_worker: Callable[[], None] = lambda: None
        self._only = only
        self._limit = limit
        self._stop_when_idle = stop_when_idle
        self._queued = queued
        self.notifications = Notifications(listen)
        self._free = asyncio.Semaphore(concurrency)
        self._pace = Pace(concurrency, clock)
        self._ready: deque[jobs.Job] = deque()
        self._finisher = Finisher(store)
        self._unsure_until = float("-inf")

    def stop(self) -> None:
        """Take no more jobs."""
        self.stopping.set()
        self.stop_worker()

    def function_returned(self, job_id: int) -> None:
        """The next job may start, though the end of this one is not written yet."""
        if self._pace.ended(job_id):
            self._free.release()

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """The next job, once one may run; None when there is none, the worker is to stop, or the database is away."""
        if not await self._may_run():
            await self._give_back(worker_id)
            return None
        job = None
        try:
            self.notifications.unread = True
            while self.notifications.unread and not self._ready and not self.stopping.is_set():
                self.notifications.unread = False
                await self._fill(queues, worker_id)
            if self._stop_when_idle and not self._ready and not self._in_hand:
                self.stop()
            if self._ready and not self.stopping.is_set():
                job = self._ready.popleft()
                assert job.id is not None  # noqa: S101 - it comes from the database
                self._pace.began(job.id)
        finally:
            if job is None:
                self._free.release()
        return job

    async def _may_run(self) -> bool:
        """Wait for a place to run in; False when the worker is to stop."""
        if self.stopping.is_set():
            return False
        if not self._free.locked():
            await self._free.acquire()
            return True
        place = asyncio.create_task(self._free.acquire())
        stop = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait((place, stop), timeout=GIVE_BACK_AFTER, return_when=asyncio.FIRST_COMPLETED)
            if self._ready and not place.done() and self.worker_id is not None:
                await self._give_back(self.worker_id)
            await asyncio.wait((place, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not place.done():
                place.cancel()
        if not place.done() or place.cancelled():
            return False
        if self.stopping.is_set():
            self._free.release()
        return not self.stopping.is_set()

    async def _fill(self, queues: Iterable[str] | None, worker_id: int) -> None:
        free = self._pace.room()
        if self._limit is not None:
            free = min(free, self._limit - self.taken)
        if free < 1 or (self._only is not None and self.taken):
            return
        try:
            if self._clock.monotonic() < self._unsure_until:
                await self._put_back_unknown(worker_id)
            if self._only is not None:
                row = await self.store.claim(self._only, worker_id)
                rows = [row] if row else []
            else:
                rows = await self.store.fetch(queues, worker_id, free)
        except exceptions.ConnectorException as error:
            self._unsure_until = self._clock.monotonic() + UNSURE
            if await self._is_lost(worker_id):
                self._lose()
            else:
                log.warning("No jobs could be fetched; trying again: %s", error)
            return
        self.taken += len(rows)
        for row in rows:
            self._in_hand[row["id"]] += 1
            self._ready.append(jobs.Job.from_row(row))

    async def _give_back(self, worker_id: int) -> None:
        """Put back what was taken and not begun. Raises ConnectorException."""
        ids = [job.id for job in self._ready if job.id is not None]
        self._ready.clear()
        self.taken -= len(ids)
        self._in_hand -= Counter(ids)
        await self._put_back(ids, worker_id)

    async def _put_back_unknown(self, worker_id: int) -> None:
        """Put back jobs that the database gave us in a lost response. Raises ConnectorException."""
        await self._put_back(await self.store.held(worker_id) - self._in_hand.keys(), worker_id)

    async def _put_back(self, ids: Iterable[int], worker_id: int) -> None:
        backs = (Outcome(job_id=id_, status="todo", counted=False) for id_ in ids)
        await asyncio.gather(*(self._finisher.finish(back, worker_id) for back in backs))

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:  # noqa: FBT001 - procrastinate's signature
        """End a job that is ours."""
        await self._end(job, status.value)

    async def retry_job(
        self,
        job: jobs.Job,
        retry_at: datetime | None = None,
        priority: int | None = None,
        queue: str | None = None,
        lock: str | None = None,
    ) -> None:
        """Put a job back that is ours."""
        await self._end(job, "todo")

    async def _end(self, job: jobs.Job, status: Any) -> None:  # noqa: ANN401 - one of Outcome's
        assert job.id is not None  # noqa: S101 - it comes from the database
        assert self.worker_id is not None  # noqa: S101 - it has fetched the job
        self.function_returned(job.id)
        outcome = self.outcomes.pop(job.id, None) or Outcome(job_id=job.id, status=status)
        try:
            mine = outcome.written or await self._finisher.finish(outcome, self.worker_id)
        except Exception:  # the edge: the worker goes on
            log.exception("The end of job %d could not be written; it will be done again", job.id)
            self._unsure_until = self._clock.monotonic() + UNSURE  # by no other, while this worker is alive
            return
        finally:
            self._in_hand -= Counter((job.id,))
        if not mine:
            log.warning("Job %d was lost: another worker has taken it over", job.id)
        if job.lock is not None or self._stop_when_idle:
            self.notifications.tell()  # at once: a fetch that is under way may have missed it
        if outcome.status == "todo":
            self.notifications.tell_in(outcome.pause + _A_LITTLE)

    async def register_worker(self) -> int:
        """As procrastinate does. A worker that was asked to stop before it began has forgotten it; ask it again."""
        self.worker_id = await super().register_worker()
        if self.stopping.is_set():
            self.stop_worker()
        return self.worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """Give back what was taken and not begun, then do as procrastinate does."""
        try:
            await self._give_back(worker_id)
            await super().unregister_worker(worker_id)
        except exceptions.ConnectorException as error:
            log.warning("The worker could not sign off; its jobs will be taken over: %s", error)

    async def update_heartbeat(self, worker_id: int) -> None:
        """Give a sign of life. When the worker is not known any more, stop it."""
        try:
            known = await self.store.heartbeat(worker_id)
        except exceptions.ConnectorException as error:
            log.warning("The database is away, so this worker could not send a heartbeat: %s", error)
            return
        if not known:
            self._lose()

    async def keep_alive(self) -> None:
        """Give signs of life until cancelled. The Worker's own end while it still waits for its last jobs."""
        while True:
            await asyncio.sleep(self._limits.heartbeat_interval)
            if self.worker_id is not None:
                await self.update_heartbeat(self.worker_id)

    async def _is_lost(self, worker_id: int) -> bool:
        try:
            return not await self.store.heartbeat(worker_id)
        except exceptions.ConnectorException:
            return False

    def _lose(self) -> None:
        if not self.lost:
            log.warning("This worker was frozen too long, and others have taken its jobs over")
        self.lost = True
        self.stop()

    async def defer_periodic_job(self, job: jobs.Job, periodic_id: str, defer_timestamp: int) -> int | None:
        """As procrastinate does; when that fails the worker must restart, since the moment counts as served."""
        try:
            job_id = await super().defer_periodic_job(job, periodic_id, defer_timestamp)
        except exceptions.AlreadyEnqueued:
            raise
        except exceptions.ConnectorException:
            self.stop()
            raise
        if job_id is not None and self._queued is not None:
            await self._queued()
        return job_id

    async def listen_for_jobs(
        self,
        *,
        on_notification: NotificationCallback,
        queues: Iterable[str] | None = None,
    ) -> None:
        """Notify the Worker when there may be a job, or one is to be aborted, until cancelled."""
        await self.notifications.deliver(on_notification)
