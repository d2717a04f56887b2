"""A token bucket: so many at once, and then one more after each pause. It bounds what a storm of errors may cost."""

from __future__ import annotations

from fastopp.clock import Clock


class TokenBucket:
    """A bucket of tokens that fills again.

    Parameters
    ----------
    size: tokens that it holds.
    seconds: after which it has one more.
    """

    __slots__ = ("_clock", "_left", "_seconds", "_since", "_size")

    def __init__(self, clock: Clock, size: int, seconds: float) -> None:
        self._clock, self._size, self._seconds = clock, size, seconds
        self._left = float(size)
        self._since = clock.monotonic()

    def has_one(self) -> bool:
        """Return whether there is a token."""
        now = self._clock.monotonic()
        self._left = min(float(self._size), self._left + (now - self._since) / self._seconds)
        self._since = now
        return self._left >= 1

    def take(self) -> bool:
        """Take a token. Returns whether there was one."""
        if not self.has_one():
            return False
        self._left -= 1
        return True
