"""Answers of other services that a process keeps for a while."""

from __future__ import annotations

from collections import OrderedDict

from fastopp.clock import SYSTEM_CLOCK, Clock

SIZE = 64  # values; the one that was kept first goes first


class ProcessCache:
    """Values by key, at most `size` of them, each for its lifetime. A restart forgets them."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, size: int = SIZE) -> None:
        self._clock = clock
        self._size = size
        self._values: OrderedDict[tuple[str, ...], tuple[float, object]] = OrderedDict()

    def get(self, *key: str) -> object | None:
        """Return a value, unless it is too old or was never kept."""
        until, value = self._values.get(key, (0.0, None))
        if self._clock.monotonic() < until:
            return value
        self._values.pop(key, None)
        return None

    def keep(self, *key: str, value: object, lifetime: float) -> None:
        """Keep a value for so many seconds."""
        self._values.pop(key, None)
        self._values[key] = (self._clock.monotonic() + lifetime, value)
        while len(self._values) > self._size:
            self._values.popitem(last=False)
