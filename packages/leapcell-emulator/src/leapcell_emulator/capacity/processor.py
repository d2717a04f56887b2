"""The processor of an instance: one event loop, with a share of a core that the kernel grants by periods."""

from __future__ import annotations

import math


class Processor:
    """Runs pieces of work one after the other, as an event loop does, in the time that a control group gives."""

    def __init__(self, *, share: float, period: float, saved: float = 0.0, saved_at_most: float = 0.0) -> None:
        """Prepare it.

        Parameters
        ----------
        share: of a core.
        period: seconds over which it is granted; the part that is not used is lost, or saved. 0: spread evenly.
        saved, saved_at_most: seconds of unused parts at first, and at most, as at Fly.io.
        """
        self.share = min(1.0, share)
        self.period = period
        self.busy = 0.0
        """Seconds that it had work to do, stops included."""
        self._quota = self.share * period
        self._most = max(self._quota, saved_at_most)
        self._left = max(self._quota, saved)
        self._edge = 0  # the period that `_left` is of
        self._free = 0.0

    def run(self, now: float, seconds: float) -> float:
        """Return the time at which work of this many processor seconds ends that arrives now."""
        begun = max(now, self._free)
        if self.share >= 1:
            end = begun + seconds
        elif not self.period:
            end = begun + seconds / self.share
        else:
            end = self._stretch(begun, seconds)
        self.busy += end - begun
        self._free = end
        return end

    def _stretch(self, time: float, seconds: float) -> float:
        self._refill(math.floor(time / self.period))
        while seconds > 1e-12:
            edge = (self._edge + 1) * self.period
            until_edge = max(0.0, edge - time)
            run = min(seconds, self._left, until_edge)
            seconds -= run
            self._left -= run
            time += run
            if seconds <= 1e-12:
                break
            time = edge
            self._refill(self._edge + 1)
        return time

    def _refill(self, period: int) -> None:
        if period > self._edge:
            self._left = min(self._most, self._left + (period - self._edge) * self._quota)
            self._edge = period
