"""The times of an instance: when it has requests in flight, and the processor time that each of them used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Window:
    """The time that an instance spends on one request."""

    frozen: float = 0.0
    """Seconds that the instance had had no request before it."""
    processor: float | None = None
    """Seconds; None where they are not read."""


class Meter:
    """Divides what the kernel has counted among the requests in flight, evenly where several overlap."""

    def __init__(self, read: Callable[[], float | None] | None) -> None:
        """`read` returns the processor seconds that the instance has used until now; None: they are not wanted."""
        self._read = read or (lambda: None)
        self._open: set[Window] = set()
        self._last: float | None = None
        self._since = time.perf_counter()
        self.busy = 0.0
        """Seconds with a request in flight."""

    def begin(self) -> Window:
        """Begin a request."""
        window = Window()
        if self._open:
            self._share()
        else:
            now = time.perf_counter()
            window.frozen, self._since = now - self._since, now
            self._last = self._read()
        window.processor = None if self._last is None else 0.0
        self._open.add(window)
        return window

    def end(self, window: Window) -> None:
        """End a request; its window has its processor time."""
        self._share()
        self._open.discard(window)
        if not self._open:
            now = time.perf_counter()
            self.busy, self._since = self.busy + now - self._since, now

    def _share(self) -> None:
        used = self._read()
        if used is not None and self._last is not None:
            for window in self._open:
                window.processor = (window.processor or 0.0) + max(0.0, used - self._last) / len(self._open)
        self._last = used
