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
        self._seen: tuple[float, float] | None = None
        self._processor = 0.0  # of the process at the last tick or gap
        self._timer: asyncio.TimerHandle | None = None
        self._gap = 0.0

    def look(self) -> float:
        """Return the seconds for which the process was frozen since the last call, to `TICK` seconds."""
        self.touch()
        found, self._gap = self._gap, 0.0
        if self._timer is None:
            self._tick()
        return found

    def touch(self) -> None:
        """Note that the process runs now."""
        monotonic, wall = self._clock.monotonic(), self._clock.time()
        if self._seen is not None:
            gap = max(monotonic - self._seen[0], wall - self._seen[1])
            if gap > self.TICK + self.LEAST:
                self._note(gap)
        self._seen = monotonic, wall

    def close(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _note(self, gap: float) -> None:
        processor = time.process_time()
        if processor - self._processor < gap / 2:
            self._gap += gap
        self._processor = processor

    def _tick(self) -> None:
        self.touch()
        self._processor = time.process_time()
        self._timer = asyncio.get_running_loop().call_later(self.TICK, self._tick)
