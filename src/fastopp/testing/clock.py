"""A clock that a test moves."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

from fastopp.clock import Clock

T = TypeVar("T")


class ManualClock(Clock):
    """Start now, or at `start`; `advance` moves it and wakes every sleeper that is due by then.

    Only what goes through the clock waits: the database and the network keep their own time.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._started = time.time() if start is None else start.timestamp()
        self._passed = 0.0
        self._sleepers: dict[asyncio.Future[None], float] = {}
        self._watchers: dict[asyncio.Future[None], tuple[float, float]] = {}

    def monotonic(self) -> float:
        """Return the seconds that were let pass."""
        return self._passed

    def time(self) -> float:
        """Return the start, and the seconds that were let pass."""
        return self._started + self._passed

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has let so many seconds pass."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        due = self._passed + seconds
        _wake(self._watchers, lambda limits: limits[0] <= due <= limits[1])
        await _wait(self._sleepers, due)

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass at once."""
        self._passed += seconds
        _wake(self._sleepers, lambda due: due <= self._passed)

    async def sleeper(self, *, least: float = 0.0, most: float = math.inf) -> None:
        """Wait until something sleeps that is due in `least` to `most` seconds."""
        limits = self._passed + least, self._passed + most
        if not any(limits[0] <= due <= limits[1] for due in self._sleepers.values()):
            await _wait(self._watchers, limits)

    async def passing(self, work: Coroutine[Any, Any, T], step: float) -> T:
        """Await `work`, and let `step` seconds pass whenever something sleeps for no longer than that."""
        working = asyncio.create_task(work)
        while not working.done():
            sleeper = asyncio.create_task(self.sleeper(most=step))
            await asyncio.wait((working, sleeper), return_when=asyncio.FIRST_COMPLETED)
            if not sleeper.cancel():
                self.advance(step)
        return working.result()


async def _wait(waiting: dict[asyncio.Future[None], T], limits: T) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting[future] = limits
    try:
        await future
    finally:
        del waiting[future]


def _wake(waiting: dict[asyncio.Future[None], T], is_due: Callable[[T], bool]) -> None:
    for future, limits in waiting.items():
        if not future.done() and is_due(limits):
            future.set_result(None)
