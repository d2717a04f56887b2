"""The clock that budgets, lifetimes and caches are measured with. It is passed in, so that a test can move its own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class Clock:
    """The system's clock. It holds no state, so one serves a whole process."""

    def monotonic(self) -> float:
        """Return seconds that only ever grow, for budgets and ages within this process."""
        return time.monotonic()

    def time(self) -> float:
        """Return seconds since 1970, for what other processes or a restart compare."""
        return time.time()

    def now(self) -> datetime:
        """Return `time` as an aware moment in UTC."""
        return datetime.fromtimestamp(self.time(), UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed by this clock."""
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = Clock()
