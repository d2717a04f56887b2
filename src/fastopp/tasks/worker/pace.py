"""Decide how many jobs a worker takes at a time: one for each free place, and more where they are short."""

from __future__ import annotations

from fastopp.clock import Clock

AHEAD_SECONDS = 0.1
"""The amount of work that a worker takes at a time when its tasks are short, to save round trips."""

AHEAD_JOBS = 64
"""The most jobs it takes at a time for that."""


class Pace:
    """The functions that run, and how long they have taken lately.

    Parameters
    ----------
    concurrency: functions that run at a time.
    """

    def __init__(self, concurrency: int, clock: Clock) -> None:
        self._clock = clock
        self._concurrency = concurrency
        self._running: dict[int, float] = {}  # when each began
        self._usual = float("inf")  # seconds

    def began(self, job_id: int) -> None:
        """A function begins."""
        self._running[job_id] = self._clock.monotonic()

    @property
    def free(self) -> int:
        """Return the number of functions that may begin now."""
        return self._concurrency - len(self._running)

    def ended(self, job_id: int) -> None:
        """A function has ended."""
        took = self._clock.monotonic() - self._running.pop(job_id)
        # The last ten or so count, and one that takes long at once.
        self._usual = took if took > self._usual or self._usual == float("inf") else 0.9 * self._usual + 0.1 * took

    def room(self) -> int:
        """Return the number of jobs to take now."""
        if self._usual >= AHEAD_SECONDS:
            return self.free
        in_time = int(self._concurrency * AHEAD_SECONDS / max(self._usual, 1e-6))
        return max(self.free, min(in_time, AHEAD_JOBS))
