"""The copies of values in one process: they save a round trip, and are there while the store is not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from fastopp.cache.store import Entry
from fastopp.clock import Clock

LIFETIME: Final = 1.0
"""Seconds for which a copy is served without asking the store: so long another instance may serve an old value."""

MAX_ENTRIES: Final = 256
MAX_BYTES: Final = 8 * 1024 * 1024


class Copy(NamedTuple):
    """A value, as it was when the store was asked."""

    entry: Entry
    tags: Sequence[str]
    asked_at: float
    """By the monotonic clock."""
    asked_on: float
    """By the wall clock: the other one may stop while the process is frozen."""


class Front:
    """A bounded number of copies; the one that was not used for longest goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._copies: OrderedDict[str, Copy] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Copy | None:
        """Return a copy, however old."""
        found = self._copies.get(key)
        if found is not None:
            self._copies.move_to_end(key)
        return found

    def is_recent(self, copy: Copy) -> bool:
        """Return whether the copy may be served without asking the store."""
        passed = max(self._clock.monotonic() - copy.asked_at, self._clock.time() - copy.asked_on)
        return 0 <= passed < LIFETIME

    def keep(self, key: str, entry: Entry, tags: Sequence[str]) -> None:
        """Keep a copy that was read or written just now."""
        self.drop(key)
        self._copies[key] = Copy(entry, tags, self._clock.monotonic(), self._clock.time())
        self._bytes += len(entry.value)
        while len(self._copies) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            self.drop(next(iter(self._copies)))

    def drop(self, key: str) -> None:
        """Forget a copy."""
        found = self._copies.pop(key, None)
        if found is not None:
            self._bytes -= len(found.entry.value)

    def drop_tags(self, tags: Sequence[str]) -> None:
        """Forget the copies with one of these tags."""
        changed = set(tags)
        for key in [key for key, copy in self._copies.items() if changed.intersection(copy.tags)]:
            self.drop(key)

    def clear(self) -> None:
        """Forget all copies."""
        self._copies.clear()
        self._bytes = 0
