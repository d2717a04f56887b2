"""Caches on each kind of store, for the tests of caching: as many as there are instances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fastopp.cache.cache import Cache, Got, Plan
from fastopp.cache.store import Store

MINUTE = Plan(60, 600, ("books",))
KEY = "a" * 64


class Counter:
    """A computation that counts itself, and can be held up or fail."""

    def __init__(self) -> None:
        self.number = 0
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self) -> bytes:
        self.number += 1
        number = self.number
        self.started.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return b"%d" % number


MakeStore = Callable[[], Store]
Get = Callable[[Cache, Callable[[], Awaitable[bytes]]], Awaitable[tuple[bytes, str]]]


async def get(cache: Cache, compute: Callable[[], Awaitable[bytes]], plan: Plan = MINUTE) -> tuple[bytes, str]:
    """Return a value and where it comes from."""
    got: Got = await cache.get(KEY, plan, compute)
    return got.value, got.status
