"""The interface of a place for cached values. There are two: `SQLStore` and `RedisStore`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

EVERYTHING: Final = "*"
"""The tag of every value: clearing the cache invalidates it."""

LONGEST: Final = 30 * 24 * 60 * 60.0
"""Seconds that a value may be kept, stale time included. The version of a tag is kept longer than any value."""

LEASE: Final = 30.0
"""Seconds that an instance may take for a value before another one computes it, too."""


class Entry(NamedTuple):
    """A cached value."""

    value: bytes
    versions: str
    """The versions of its tags, as they were before it was computed."""
    fresh_until: float
    """Seconds since 1970."""
    kept_until: float
    """Until then it may be served while no newer one can be had."""
    stamp: str
    """Another for each value that is stored."""


class Found(NamedTuple):
    """The state of a key at one moment."""

    entry: Entry | None
    versions: str
    """The versions of the tags now."""
    stamp: str = ""
    """That of the stored value, also of one that is not returned because the caller has it."""
    leased: bool = False
    """Another computation is in progress."""


class Store(Protocol):
    """A place for cached values. Every method raises StoreUnavailable."""

    async def read(self, key: str, tags: Sequence[str], known: Entry | None = None) -> Found:
        """Return a value and the versions of its tags, in one round trip.

        known: a copy in this process, whose value need not be sent again.
        """
        ...

    async def lease(self, key: str, token: str, seen: str) -> bool:
        """Claim the computation of a value, unless it is claimed or there is another stamp than the one seen."""
        ...

    async def release(self, key: str, token: str) -> None:
        """Give the claim back without a value."""
        ...

    async def write(self, key: str, entry: Entry) -> bool:
        """Keep a value, whose stamp is the token of the claim; False when the claim was lost."""
        ...

    async def invalidate(self, tags: Sequence[str]) -> None:
        """Give the tags new versions."""
        ...

    async def clear(self) -> int | None:
        """Remove all values; their number, where it is known."""
        ...

    async def clean_up(self) -> int:
        """Remove expired values, and the oldest beyond the bounds; their number."""
        ...

    async def aclose(self) -> None:
        """Close the connections that are the store's own."""
        ...
