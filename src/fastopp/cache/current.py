"""The cache of the process that runs now, for functions with `@cached`.

A function is decorated before there is a process. Requests, tasks and commands each run in one.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fastopp.cache.cache import Cache


CACHED_MARK = "fastopp_cached"
"""An attribute of handlers with `@cached`."""


class Current(NamedTuple):
    """A cache, and how it may be used at the moment."""

    cache: Cache
    keeps: bool = True
    """Values that are computed now may be kept. Not in a request that changes something: what it reads may be rolled
    back, and on SQLite the cache would wait for it."""


current_cache: ContextVar[Current | None] = ContextVar("fastopp_cache", default=None)
