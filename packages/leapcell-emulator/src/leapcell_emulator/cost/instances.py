"""Instances as LeapCell runs them: started for a request, kept while there is traffic, ended after a time without.

The durations of requests are known here, so each request needs one step and no events: ten million take minutes. What
depends on how requests disturb each other is in `leapcell_emulator.capacity`.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple


class Served(NamedTuple):
    """The way that a request was served."""

    waited: float
    """Seconds until an instance took it."""
    cold: bool
    """Whether it waited for a start."""


class _Instance:
    __slots__ = ("in_flight", "last", "queued", "ready", "since")

    def __init__(self, time: float) -> None:
        self.in_flight = 0
        self.last = self.ready = self.since = time
        self.queued = False


class Instances:
    """Serves requests in the order of their arrival, and adds up what they cost."""

    def __init__(
        self, *, start: float, dormant_after: float, at_once: int, limit: int, fixed: int | None = None
    ) -> None:
        """Prepare it.

        Parameters
        ----------
        start: seconds of a cold start.
        dormant_after: seconds without a request after which an instance ends.
        at_once: requests that one instance takes at a time; one more starts another instance.
        limit: requests in flight over all instances; more are refused. 0: no limit.
        fixed: as many instances as the emulator has, which take turns and all requests, and are warm at first.
        """
        self.start, self.dormant_after, self.at_once, self.limit = start, dormant_after, at_once, limit
        self.seconds = 0.0
        """The sum of all requests' windows, from arrival to end."""
        self.instance_seconds = 0.0
        """The seconds of all instances with a request in flight; overlapping requests of one count once."""
        self.refused = self.starts = 0
        self.cold = 0
        """Requests that waited for a start."""
        self.most = 0
        """Instances that ran at once."""
        self._ends: list[tuple[float, int, _Instance]] = []
        self._number = 0
        self._alive = 0
        self._slots: list[_Instance | None] = [None] * (fixed or 0)
        self._fresh = bool(fixed)
        self._turns: deque[_Instance] = deque()

    def serve(self, time: float, seconds: float) -> Served | None:
        """Serve a request that an instance works on for `seconds`; None: it was refused."""
        self._end_until(time)
        if self.limit and len(self._ends) >= self.limit:
            self.refused += 1
            return None
        instance = self._slot(time) if self._slots else self._next(time)
        waited = max(0.0, instance.ready - time)
        cold = waited > 0
        self.cold += cold
        if instance.in_flight == 0:
            instance.since = time
        instance.in_flight += 1
        end = time + waited + seconds
        self._number += 1
        heapq.heappush(self._ends, (end, self._number, instance))
        self.seconds += waited + seconds
        return Served(waited, cold)

    def finish(self) -> None:
        """Let all requests end."""
        self._end_until(float("inf"))

    def _start(self, instance: _Instance, time: float) -> None:
        self.starts += 1
        instance.ready = time + self.start

    def _slot(self, time: float) -> _Instance:
        """The emulator's way: a number of places, each with an instance or empty."""
        if self._fresh:
            self._fresh = False
            self._slots = [_Instance(time) for _ in self._slots]
            self.most = len(self._slots)
        place = self._number % len(self._slots)
        instance = self._slots[place]
        assert instance is not None  # noqa: S101 - filled by the first request
        if instance.in_flight == 0 and time - instance.last > self.dormant_after:
            instance = self._slots[place] = _Instance(time)
            self._start(instance, time)
        return instance

    def _next(self, time: float) -> _Instance:
        """The instance that has waited longest for a turn and still lives, or a new one."""
        while self._turns:
            instance = self._turns.popleft()
            instance.queued = False
            if instance.in_flight == 0 and time - instance.last > self.dormant_after:
                self._alive -= 1
                continue
            if instance.in_flight + 1 < self.at_once:
                self._turns.append(instance)
                instance.queued = True
            return instance
        instance = _Instance(time)
        self._alive += 1
        self.most = max(self.most, self._alive)
        self._start(instance, time)
        if self.at_once > 1:
            self._turns.append(instance)
            instance.queued = True
        return instance

    def _end_until(self, time: float) -> None:
        while self._ends and self._ends[0][0] <= time:
            end, _, instance = heapq.heappop(self._ends)
            instance.in_flight -= 1
            if instance.in_flight == 0:
                instance.last = end
                self.instance_seconds += end - instance.since
            if not self._slots and not instance.queued:
                self._turns.append(instance)
                instance.queued = True
