"""The common base of backup and restore: how many files at once, for how long, and when to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

from fastopp.errors import FastOppError
from fastopp.storage import deadlines
from fastopp.storage.base import Storage, StorageFull, StorageMisconfigured, StorageUnavailable
from fastopp.storage.sync.folder import reason_of
from fastopp.storage.sync.report import LeftOut, Progress, ProgressCallback, TransferReport, counted

CONCURRENCY = 32  # files on their way at once
MEMORY = 24 * 1024 * 1024  # bytes that they take together, as far as that is known beforehand
COPIES = 3  # of a file's content, or of its parts, while it is sent: ours, the one that is collected, obstore's
SMALL = 256 * 1024  # bytes; up to here a file is read as a whole
BATCH_FILES = 64  # files that a thread deals with before it hands over
BATCH_BYTES = 4 * 1024 * 1024  # of their contents

GIVE_UP_AFTER = 40  # failures in a row: more than are on their way, so the service and not the file is at fault
GRACE = 0.05  # part of the budget that what is on its way gets to arrive, when nothing new is begun


class Room:
    """Room for files on their way: so many, and so many bytes of memory. A big file has it for itself."""

    def __init__(self, files: int) -> None:
        self._files, self._memory = files, MEMORY
        self._given_back = asyncio.Event()

    async def take(self, size: int) -> int:
        """Wait for room for a file; returns what is to be given back. Only one task may wait."""
        share = min(size * COPIES, MEMORY)
        while not self._files or self._memory < share:
            self._given_back.clear()
            await self._given_back.wait()
        self._files -= 1
        self._memory -= share
        return share

    def give_back(self, share: int) -> None:
        """A file has arrived."""
        self._files += 1
        self._memory += share
        self._given_back.set()


class Transfer:
    """One run: it counts, keeps to the time, and lets so many files be on their way.

    Parameters
    ----------
    storage: the Object Storage, which is asked for a sign of life when nothing arrives.
    budget: seconds after which the run ends with what has arrived; None: as long as it takes.
    """

    def __init__(
        self, storage: Storage, *, budget: float | None, concurrency: int, progress: ProgressCallback | None
    ) -> None:
        self._storage = storage
        self.report = TransferReport()
        self.found = 0
        self.ended_early = ""
        """The reason why nothing new is begun any more; empty while all is well."""
        self._started = time.monotonic()
        self._budget = budget
        self._progress = progress
        self._room = Room(concurrency)
        self._failures_in_a_row = 0
        self._is_over = False
        self.tasks: asyncio.TaskGroup
        """Background tasks, cancelled when the run ends."""

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """The run. In the end all that was begun is finished or, when the time is up, cancelled.

        Raises StorageUnavailable when the storage is dead.
        """
        limit = asyncio.timeout(self._budget)
        try:
            async with limit, asyncio.TaskGroup() as around:
                watching = around.create_task(self._watch())
                try:
                    async with asyncio.TaskGroup() as self.tasks:
                        yield self
                finally:
                    watching.cancel()
        except TimeoutError:
            if not limit.expired():
                raise
            self._is_over = True
        except BaseExceptionGroup as errors:
            raise _first(errors) from None
        self.report.seconds = time.monotonic() - self._started

    async def _watch(self) -> None:
        """Raise StorageUnavailable once the storage is dead: no file arrives, and a small question gets no answer."""
        arrived = -1
        while True:
            arrived, before = self.report.files_count, arrived
            if arrived == before:
                try:
                    async with deadlines.within(deadlines.DEAD / 4):
                        await self._storage.check()
                except StorageUnavailable as error:
                    raise StorageUnavailable(
                        f"The Object Storage has not answered for {deadlines.DEAD:g} seconds.",
                        hint="Run it again to do the rest.",
                    ) from error
            await asyncio.sleep(deadlines.DEAD * 3 / 8)

    @property
    def goes_on(self) -> bool:
        """Whether something new may be begun."""
        if self._budget is not None and time.monotonic() - self._started > self._budget * (1 - GRACE):
            self._is_over = True
        return not self._is_over and not self.ended_early

    async def start(self, key: str, size: int, copy: Callable[[], Awaitable[int | None]]) -> None:
        """Begin to copy a file as soon as there is room. `copy` returns the bytes sent; None: it was there already."""
        await self.start_work(size, partial(self.copy, key, copy))

    async def start_work(self, size: int, work: Callable[[], Awaitable[None]]) -> None:
        """Begin what copies one or several files, of which `size` bytes are in memory at once."""
        share = await self._room.take(size)
        if self.goes_on:
            self.tasks.create_task(self._work(share, work))
        else:
            self._room.give_back(share)

    async def _work(self, share: int, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            self._room.give_back(share)

    async def copy(self, key: str, copy: Callable[[], Awaitable[int | None]]) -> None:
        """Copy a file and count it."""
        try:
            sent = await copy()
        except (FastOppError, OSError) as error:
            self.failed(key, error)
        else:
            self.succeeded(sent)

    def succeeded(self, sent: int | None) -> None:
        """A file has arrived (so many bytes), or was there (None)."""
        self._failures_in_a_row = 0
        if sent is None:
            self.report.skipped += 1
        else:
            self.report.copied += 1
            self.report.bytes += sent
        self.tell()

    def failed(self, key: str, error: OSError | FastOppError) -> None:
        """A file did not arrive. Where no other one would, nothing new is begun."""
        if isinstance(error, LeftOut):
            self.report.leave_out(key, error.message)
            return
        self.report.fail(key, reason_of(error))
        if isinstance(error, StorageUnavailable | StorageMisconfigured):
            self._failures_in_a_row += 1
        if isinstance(error, StorageFull):
            self.ended_early = error.message
        elif self._failures_in_a_row >= GIVE_UP_AFTER:
            self.ended_early = f"{self._failures_in_a_row} files failed in a row."
        self.tell()

    def tell(self) -> None:
        """Say how far it is."""
        if self._progress:
            report = self.report
            done = report.files_count + report.failed_count
            self._progress(Progress(done, max(self.found, done), report.bytes))

    def conclude(self, verb: str) -> TransferReport:
        """The report, complete.

        Parameters
        ----------
        verb: what happened to the files, like `backed up`.
        """
        report = self.report
        done = f"{counted(report.copied)} {verb}, {report.skipped:,} were there already"
        if report.failed_count:
            report.status = "error"
            report.message = f"{done}, {report.failed_count:,} failed. {self.ended_early}".strip()
            report.message += " Run it again to do the rest."
        elif self._is_over:
            report.status = "partial"
            report.message = f"{done}. The time was up: run it again for the rest."
        else:
            report.message = f"{done}."
        return report


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
