"""The quota of a bucket, enforced before anything is sent."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.base import QuotaExceeded
from fastopp.storage.s3.bucket import Bucket

logger = logging.getLogger(__name__)

WARN_AT = 0.8  # of the quota
RECOUNT_AFTER = 600.0  # seconds: other instances write and delete too


class Usage(NamedTuple):
    """The usage of a bucket."""

    files: int
    size: int
    """Bytes."""


async def usage_of(bucket: Bucket) -> Usage:
    """Return the usage of a whole bucket, including other programs' files. One request for each 1,000 files."""
    files = size = 0
    refused: set[str] = set()
    async for batch in bucket.list("", refused.add):
        files += len(batch)
        size += sum(file.size for file in batch)
    return Usage(files + len(refused), size)


class Quota(NamedTuple):
    """The limits of a plan for a bucket; infinity if there is no limit."""

    files: float
    size: float
    """Bytes."""

    def __str__(self) -> str:
        limits = (f"{self.files:,.0f} files", self.files), (f"{self.size / 1e6:,.0f} MB", self.size)
        return " and ".join(text for text, limit in limits if limit < math.inf)

    def share(self, usage: Usage) -> float:
        """The part that is used, from 0 to 1 (or more)."""
        return max(usage.files / self.files, usage.size / self.size)


class QuotaGuard:
    """Says no before the server would. Counts the bucket when first needed, and again every ten minutes.

    Parameters
    ----------
    count: counts what the bucket holds: one listing.
    """

    def __init__(self, quota: Quota, count: Callable[[], Awaitable[Usage]], *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.quota = quota
        self._clock = clock
        self._count = count
        self._lock = asyncio.Lock()
        self._files = self._size = 0
        self._counted: float | None = None
        self._warned = False

    @asynccontextmanager
    async def room(self) -> AsyncIterator[Room]:
        """Room for one file, given back if it is not stored.  Raises QuotaExceeded."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._counted is None or now - self._counted > RECOUNT_AFTER or self._is_over(1, 0):
                usage = await self._count()
                self._files, self._size, self._counted = usage.files, usage.size, now
        room = Room(self)
        self.take(1, 0)
        try:
            yield room
        except BaseException:
            self._files -= 1
            self._size -= room.size
            raise

    def _is_over(self, files: int, size: int) -> bool:
        return self._files + files > self.quota.files or self._size + size > self.quota.size

    def take(self, files: int, size: int) -> None:
        """Count so much more. Raises QuotaExceeded when it is too much, and warns once when it is nearly so."""
        if self._is_over(files, size):
            raise QuotaExceeded(
                f"The Object Storage is full: its plan holds {self.quota}, "
                f"and {self._files:,} files with {self._size / 1e6:,.1f} MB are there.",
                hint="Delete unused files, or use a bigger plan and set S3_QUOTA_MB and S3_QUOTA_FILES.",
            )
        self._files += files
        self._size += size
        share = self.quota.share(Usage(self._files, self._size))
        if share >= WARN_AT and not self._warned:
            self._warned = True
            logger.warning(
                "The Object Storage is %.0f %% full: %d files, %.1f MB", share * 100, self._files, self._size / 1e6
            )


class Room:
    """The room reserved for one file in a quota."""

    def __init__(self, guard: QuotaGuard) -> None:
        self._guard = guard
        self.size = 0

    def grow(self, size: int) -> None:
        """So many bytes more are about to be sent. Raises QuotaExceeded."""
        self._guard.take(0, size)
        self.size += size
