"""Decide how many jobs a worker takes at a time: one for each free place, and more where they are short."""

from __future__ import annotations

from fastopp.clock import Clock

AHEAD_SECONDS = 0.1
"""The amount of work that a worker takes at a time when its tasks are short, to save round trips."""

AHEAD_FETCHES = 4
"""The same, as a multiple of the time that taking jobs needs. On a busy machine, or far from the database, that is more
than `AHEAD_SECONDS`: the less each statement brought there, the busier they would be."""

AHEAD_AT_MOST = 0.5
"""Seconds; of its tasks that others could do meanwhile."""

AHEAD_JOBS = 128
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
        self._usual = float("inf")  # seconds, on average
        self._ahead = AHEAD_SECONDS

    def began(self, job_id: int) -> None:
        """A function begins."""
        self._running[job_id] = self._clock.monotonic()

    @property
    def free(self) -> int:
        """Return the number of functions that may begin now."""
        return self._concurrency - len(self._running)

    @property
    def quick(self) -> bool:
        """Whether functions end so fast that several are taken at a time."""
        return self._usual < AHEAD_SECONDS / 2

    def ended(self, job_id: int) -> None:
        """A function has ended."""
        took = self._clock.monotonic() - self._running.pop(job_id)
        # The last ten or so count. One alone must not: on a busy machine a short function may have waited long for the
        # processor, and of four workers each would take a few jobs at a time then, and more statements would be needed.
        self._usual = took if self._usual == float("inf") else 0.9 * self._usual + 0.1 * took

    def took(self, seconds: float) -> None:
        """Taking jobs has needed so many seconds."""
        wanted = min(max(AHEAD_SECONDS, AHEAD_FETCHES * seconds), AHEAD_AT_MOST)
        self._ahead = 0.8 * self._ahead + 0.2 * wanted

    def room(self) -> int:
        """Return the number of jobs to hold that have not begun."""
        if self._usual >= self._ahead:
            return self.free
        now = self._clock.monotonic()
        quick = self._concurrency - sum(now - began > self._ahead for began in self._running.values())
        in_time = int(quick * self._ahead / max(self._usual, 1e-6))
        return max(self.free, min(in_time, AHEAD_JOBS))
