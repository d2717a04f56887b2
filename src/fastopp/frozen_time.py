"""The time for which the process was frozen, which a serverless platform does between requests."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from fastopp.clock import SYSTEM_CLOCK, Clock


class FrozenTime:
    """Notices that the process did not run, by looking at the clock every `TICK` seconds while the event loop runs.

    A platform that freezes the processor may or may not stop the monotonic clock, so the wall clock is looked at too.
    An event loop that is blocked by computing does not look frozen, since that takes processor time.
    """

    TICK: Final = 2.0
    LEAST: Final = 1.0
    """Seconds beyond `TICK` from which a gap counts."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._seen: tuple[float, float, float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._gap = 0.0

    def look(self) -> float:
        """Return the seconds for which the process was frozen since the last call, to `TICK` seconds."""
        self._look()
        found, self._gap = self._gap, 0.0
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.TICK, self._tick)
        return found

    def touch(self) -> None:
        """Note that the process runs now."""
        self._look()

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._look()
        self._timer = asyncio.get_running_loop().call_later(self.TICK, self._tick)

    def _look(self) -> None:
        now = self._clock.monotonic(), self._clock.time(), time.process_time()
        if self._seen is not None:
            monotonic, wall, processor = (new - old for new, old in zip(now, self._seen, strict=True))
            gap = max(monotonic, wall)
            if gap > self.TICK + self.LEAST and processor < gap / 2:
                self._gap += gap
        self._seen = now
