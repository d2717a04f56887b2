"""Ends of tries, written together: while one statement is under way, the next ones gather.

A statement costs the database as much as the ends of twenty jobs. So while functions end quickly, it waits a moment for
more of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from fastopp.errors import Unavailable
from fastopp.tasks.outcome import Outcome
from fastopp.tasks.worker.store import JobStore

log = logging.getLogger(__name__)

# Seconds between tries while the database is away: a minute and a half altogether. By then the job counts as stalled
# and another worker may have it.
PAUSES = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0)

GATHER_SECONDS = 0.02
"""The longest that an end waits for others to be written with it, or as long as the last statement took."""

GATHER_AT_MOST = 0.1  # seconds

GATHER_JOBS = 64
"""The number of ends that are worth a statement."""


class Finisher:
    """Writes the outcomes of one worker's jobs.

    Parameters
    ----------
    more: whether other functions are to end within a moment.
    """

    def __init__(self, store: JobStore, more: Callable[[], bool]) -> None:
        self._store = store
        self._more = more
        self._enough = asyncio.Event()
        self._patience = GATHER_SECONDS
        self._waiting: list[tuple[Outcome, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def finish(self, outcome: Outcome, worker_id: int, *, at_once: bool) -> bool:
        """Write an outcome, however long the database is away; whether the job was still this worker's.

        at_once: others wait for this end.

        Raises Unavailable when the database stays away: then the job will be taken over.
        """
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((outcome, done))
        if at_once or len(self._waiting) >= GATHER_JOBS or not self._more():
            self._enough.set()
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(worker_id), name="write outcomes")
        return await done

    async def _write(self, worker_id: int) -> None:
        try:
            while self._waiting:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._patience):
                        await self._enough.wait()
                self._enough.clear()
                batch, self._waiting = self._waiting, []
                began = asyncio.get_running_loop().time()
                try:
                    mine = await self._write_batch([outcome for outcome, _ in batch], worker_id)
                except Exception as error:  # noqa: BLE001 - the edge: no caller must wait forever
                    for _, done in batch:
                        if not done.done():
                            done.set_exception(error)
                else:
                    took = asyncio.get_running_loop().time() - began
                    self._patience = min(max(GATHER_SECONDS, took), GATHER_AT_MOST)
                    for outcome, done in batch:
                        if not done.done():
                            done.set_result(outcome.job_id in mine)
        finally:
            self._writing = None

    async def _write_batch(self, outcomes: list[Outcome], worker_id: int) -> set[int]:
        for pause in PAUSES:
            try:
                return await self._store.finish(outcomes, worker_id)
            except Unavailable as error:
                log.warning("The end of %d jobs could not be written; trying again: %s", len(outcomes), error)
                await asyncio.sleep(pause)
        return await self._store.finish(outcomes, worker_id)
