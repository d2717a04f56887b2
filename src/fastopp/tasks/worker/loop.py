"""The loop of one worker: take jobs, run them, end them."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Coroutine
from typing import TYPE_CHECKING, Any

import anyio

from fastopp.errors import Unavailable
from fastopp.tasks.limits import UNSURE
from fastopp.tasks.outcome import Outcome
from fastopp.tasks.worker.aborts import look_for_aborts
from fastopp.tasks.worker.attempt import Attempt
from fastopp.tasks.worker.finisher import GATHER_JOBS, Finisher
from fastopp.tasks.worker.pace import Pace
from fastopp.tasks.worker.presence import Presence
from fastopp.tasks.worker.store import Clash, Job, JobStore

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

log = logging.getLogger(__name__)

GIVE_BACK_AFTER = 1.0
"""Seconds after which it gives jobs back that it could not begin, since the one before took longer than usual."""

ENDINGS = 2 * GATHER_JOBS
"""Jobs that a worker holds though their function has returned, since their end is yet to be written."""

_A_LITTLE = 0.005  # seconds; the database's clock is not to be a hair behind


class WorkLoop:
    """Works the queue with `concurrency` functions at a time.

    A job whose function has returned, and whose end is being written, does not keep the next one from starting.

    Parameters
    ----------
    queues: those to work; None for all.
    only: the id of the one job to work, whether or not its time has come.
    limit: jobs to take at most.
    until_idle: end when no job is left to take and none is running.
    deadline: when functions are to stop, by the runtime's monotonic clock; None where they have all the time.
    """

    def __init__(
        self,
        runtime: Host,
        store: JobStore,
        *,
        concurrency: int,
        queues: Collection[str] | None = None,
        only: int | None = None,
        limit: int | None = None,
        until_idle: bool = False,
        deadline: float | None = None,
    ) -> None:
        self.stopping = asyncio.Event()
        self.presence = Presence(store, lost=self.stop)
        self.done = self.failed = self.requeued = 0
        self._runtime, self._clock, self._store = runtime, runtime.clock, store
        self._limits = runtime.task_process.limits
        self._queues, self._only, self._until_idle, self._deadline = queues, only, until_idle, deadline
        self._left = 1 if only is not None else limit
        self._pace = Pace(concurrency, runtime.clock)
        self._most = concurrency + ENDINGS
        # Separate threads: FastAPI's are for requests. A detached one keeps its slot until it ends.
        self._threads = anyio.CapacityLimiter(3 * concurrency)
        self._finisher = Finisher(store, more=self._ends_soon)
        self._ready: deque[Job] = deque()
        self._places: dict[int, dict[str, Any]] = {}
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        self._news = True  # there may be jobs to take
        self._changed = asyncio.Event()
        self._moved_at = 0.0
        self._aborts = asyncio.Event()
        self._unsure_until = float("-inf")

    def stop(self) -> None:
        """Take no more jobs."""
        self.stopping.set()
        self._changed.set()

    def tell(self) -> None:
        """There may be a job to take that could not be taken before."""
        self._news = True
        self._changed.set()

    async def wake(self) -> None:
        """Do as `tell`."""
        self.tell()

    def tell_abort(self) -> None:
        """A running job may be to be aborted."""
        self._aborts.set()

    async def run(self, *beside: Coroutine[Any, Any, None], stop_timeout: float, poll: float) -> None:
        """Work until stopped. Then running functions have `stop_timeout` seconds before they are cancelled.

        `beside` runs until the end; if it fails, the loop stops and raises its error. A cancellation stops the loop,
        too, and is raised once that has ended. Raises Unavailable when it cannot sign on.
        """
        working = asyncio.create_task(self._run(beside, stop_timeout, poll), name="work")
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            self.stop()
            await working
            raise

    async def _run(self, beside: Collection[Coroutine[Any, Any, None]], stop_timeout: float, poll: float) -> None:
        own = (
            self.presence.keep_alive(self._limits.heartbeat_interval),
            look_for_aborts(self._store, self.presence, self._attempts.values(), self._aborts),
            self._end_in_time(stop_timeout),
        )
        helpers = [asyncio.create_task(each) for each in (*own, *beside)]
        for helper in helpers:
            helper.add_done_callback(self._helper_ended)
        try:
            await self.presence.sign_on()
            await self._take_jobs(poll)
            self.stop()
            await self._give_back()
            while self._attempts:
                await asyncio.wait(self._attempts)
        finally:
            for helper in helpers:
                helper.cancel()
            results = await asyncio.gather(*helpers, return_exceptions=True)
            await self.presence.sign_off()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _helper_ended(self, helper: asyncio.Task[None]) -> None:
        if not helper.cancelled() and helper.exception() is not None:
            self.stop()

    async def _take_jobs(self, poll: float) -> None:
        while not self.stopping.is_set():
            if self._news and (room := self._room()) > 0:
                await self._fill(room)
            elif self._until_idle and not self._ready and not self._attempts:
                return
            else:
                await self._wait(poll)

    def _room(self) -> int:
        """Return the number of jobs to take now.

        The next are taken before none is left; what was given back, not before a function has ended.
        """
        if len(self._attempts) >= self._most or not (self._pace.free or self._ready):
            return 0
        room, held = self._pace.room(), len(self._ready)
        if held > room // 2:
            return 0
        return room - held if self._left is None else min(room - held, self._left)

    async def _fill(self, room: int) -> None:
        """Take up to so many jobs."""
        self._news = False
        try:
            if self._clock.monotonic() < self._unsure_until:
                await self._put_back_unknown()
            jobs = await self._take(room)
        except Clash:
            await self.presence.heartbeat()
        except Unavailable as error:
            self._unsure_until = self._clock.monotonic() + UNSURE
            log.warning("No jobs could be taken; trying again: %s", error)
        else:
            self._news = self._news or len(jobs) == room
            # A job that was taken from us while it runs here, and is ours again, is not begun a second time.
            known = self._job_ids()
            jobs = [job for job in jobs if job.id not in known]
            if self._left is not None:
                self._left -= len(jobs)
            self._ready = deque(sorted([*self._ready, *jobs], key=Job.order))
            self._moved_at = self._clock.monotonic()
            self._begin_ready()

    async def _take(self, room: int) -> list[Job]:
        began = self._clock.monotonic()
        if self._only is not None:
            jobs = await self._store.claim(self._only, self.presence.worker_id)
        else:
            jobs = await self._store.fetch(self._queues, self.presence.worker_id, room)
        self._pace.took(self._clock.monotonic() - began)
        tasks = self._runtime.task_process.registry
        # Of tasks that can ask for it, what earlier attempts have saved.
        asking = [job.id for job in jobs if job.task_name in tasks and tasks[job.task_name].takes_context]
        if asking:
            self._places |= await self._store.places(asking)
        return jobs

    async def _wait(self, poll: float) -> None:
        """Wait for a change, but not for so long that others could have had what is ready here."""
        seconds = poll
        if self._ready:
            seconds = max(0.0, self._moved_at + GIVE_BACK_AFTER - self._clock.monotonic())
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            await self._give_back()
            self._news = True
        self._changed.clear()

    def _begin_ready(self) -> None:
        """Begin as many jobs as may run."""
        while self._ready and self._pace.free and len(self._attempts) < self._most and not self.stopping.is_set():
            job = self._ready.popleft()
            attempt = Attempt(
                self._runtime, self._store, self.presence.worker_id, job,
                place=self._places.pop(job.id, None), stopping=self.stopping.is_set, threads=self._threads,
                deadline=self._deadline,
            )  # fmt: skip
            self._pace.began(job.id)
            self._moved_at = self._clock.monotonic()
            working = asyncio.create_task(self._work(attempt), name=f"job {job.id}")
            self._attempts[working] = attempt
            working.add_done_callback(self._ended)
        if not self._ready or (self._news and not self._changed.is_set() and self._room() > 0):
            self._changed.set()

    async def _work(self, attempt: Attempt) -> None:
        job = attempt.job
        try:
            try:
                outcome = await attempt.run()
            finally:
                self._pace.ended(job.id)
                self._begin_ready()
            self._count(outcome)
            mine = outcome.written or await self._finisher.finish(
                outcome, self.presence.worker_id, at_once=job.lock is not None
            )
        except Exception:  # the edge: the worker goes on
            log.exception("The end of job %d could not be written; it will be done again", job.id)
            self._unsure_until = self._clock.monotonic() + UNSURE  # by no other, while this worker is alive
            return
        if not mine:
            log.warning("Job %d was lost: another worker has taken it over", job.id)
            self._unsure_until = self._clock.monotonic() + UNSURE  # it may have become ours again in this moment
        if outcome.status == "todo":
            asyncio.get_running_loop().call_later(outcome.pause + _A_LITTLE, self.tell)
        if job.lock is not None or (self._until_idle and not self._ready):
            self.tell()

    def _ends_soon(self) -> bool:
        """Return whether more ends than those that wait to be written are to be expected within a moment."""
        return bool(self._ready) and self._pace.quick

    def _ended(self, working: asyncio.Task[None]) -> None:
        del self._attempts[working]
        self._begin_ready()

    def _count(self, outcome: Outcome) -> None:
        if outcome.status == "succeeded":
            self.done += 1
        elif outcome.status == "todo" and not (outcome.run and outcome.run.error):
            self.requeued += 1
        else:
            self.failed += 1

    async def _give_back(self) -> None:
        """Put back what was taken and not begun."""
        ids = [job.id for job in self._ready]
        self._ready.clear()
        self._places.clear()
        if self._left is not None:
            self._left += len(ids)
        try:
            await self._store.put_back(ids, self.presence.worker_id)
        except Unavailable as error:
            self._unsure_until = self._clock.monotonic() + UNSURE
            log.warning("Jobs could not be put back; trying again: %s", error)

    async def _put_back_unknown(self) -> None:
        """Put back jobs that the database gave us in a lost response. Raises Unavailable."""
        held = await self._store.held(self.presence.worker_id)
        await self._store.put_back(held.keys() - self._job_ids(), self.presence.worker_id)

    def _job_ids(self) -> set[int]:
        return {attempt.job.id for attempt in self._attempts.values()} | {job.id for job in self._ready}

    async def _end_in_time(self, stop_timeout: float) -> None:
        """Cancel what still runs `stop_timeout` seconds after the stop."""
        await self.stopping.wait()
        await self._clock.sleep(stop_timeout)
        for attempt in self._attempts.values():
            attempt.cancel()
