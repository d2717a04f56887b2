"""Cached values in a Redis, with commands that every hosted Redis has: no scripts, no SCAN, no MGET."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from fastopp.cache.errors import StoreUnavailable
from fastopp.cache.store import EVERYTHING, LEASE, LONGEST, Entry, Found
from fastopp.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    import redis.asyncio

MAX_ENTRIES: Final = 10_000
BATCH: Final = 500
TIMEOUT: Final = 2.0  # seconds, for a connection and for an answer

# All keys begin alike, so that one Redis may serve more than this application.
_VALUE, _TAG, _LEASE, _KEYS = "fastopp:value:", "fastopp:tag:", "fastopp:lease:", "fastopp:keys"


class RedisStore:
    """A key for each value, each version of a tag and each claim, and a sorted set of the values by their expiry.

    Redis bounds the bytes, by its `maxmemory`.
    """

    def __init__(self, url: str, *, max_entries: int = MAX_ENTRIES, clock: Clock = SYSTEM_CLOCK) -> None:
        self._url = url
        self._max_entries = max_entries
        self._clock = clock
        self._opened: redis.asyncio.Redis | None = None

    async def read(self, key: str, tags: Sequence[str], known: Entry | None = None) -> Found:
        """Return a value and the versions of its tags."""
        with self._client() as client:
            asked = client.pipeline(transaction=False)
            asked.get(_VALUE + key)
            asked.exists(_LEASE + key)
            for tag in (EVERYTHING, *tags):
                asked.get(_TAG + tag)
            value, leased, *versions = await asked.execute()
        entry = _entry(value) if value else None
        written = json.dumps([(version or b"").decode() for version in versions])
        if entry is not None and entry.kept_until <= self._clock.time():
            return Found(None, written, entry.stamp, bool(leased))
        return Found(entry, written, entry.stamp if entry else "", bool(leased))

    async def lease(self, key: str, token: str, seen: str) -> bool:
        """Claim the computation of a value."""
        with self._client() as client:
            if not await client.set(_LEASE + key, token, nx=True, ex=int(LEASE)):
                return False
            # Another instance may have stored one, and ended its claim, since this one looked.
            value = await client.get(_VALUE + key)
            if value is None or _entry(value).stamp == seen:
                return True
            await client.delete(_LEASE + key)
            return False

    async def release(self, key: str, token: str) -> None:
        """Give the claim back."""
        with self._client() as client:
            if await client.get(_LEASE + key) == token.encode():
                await client.delete(_LEASE + key)

    async def write(self, key: str, entry: Entry) -> bool:
        """Keep a value."""
        with self._client() as client:
            if await client.get(_LEASE + key) != entry.stamp.encode():
                return False
            lifetime = max(1, int(entry.kept_until - self._clock.time()))
            asked = client.pipeline(transaction=True)
            asked.set(_VALUE + key, _bytes(entry), ex=lifetime)
            asked.delete(_LEASE + key)
            asked.zadd(_KEYS, {key: entry.kept_until})
            asked.zcard(_KEYS)
            *_, number = await asked.execute()
            if number > self._max_entries:
                await self._evict(client, number)
        return True

    async def invalidate(self, tags: Sequence[str]) -> None:
        """Give the tags new versions."""
        with self._client() as client:
            asked = client.pipeline(transaction=True)
            for tag in sorted(set(tags)):
                asked.set(_TAG + tag, secrets.token_hex(8), ex=int(2 * LONGEST))
            await asked.execute()

    async def clear(self) -> int:
        """Remove all values. Those that are being computed are invalidated by the tag of every value."""
        await self.invalidate([EVERYTHING])
        removed = 0
        with self._client() as client:
            while popped := await client.zpopmin(_KEYS, BATCH):
                removed += await client.delete(*(_VALUE + key.decode() for key, _ in popped))
        return removed

    async def clean_up(self) -> int:
        """Forget the keys whose values have expired, which Redis has removed."""
        with self._client() as client:
            removed = int(await client.zremrangebyscore(_KEYS, "-inf", self._clock.time()))
            number = await client.zcard(_KEYS)
            return removed + await self._evict(client, number)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.aclose()

    async def _evict(self, client: Any, number: int) -> int:  # noqa: ANN401 - redis-py types it for its blocking client
        """Remove the values that expire first, down to nine tenths of the bound."""
        excess = number - self._max_entries * 9 // 10 if number > self._max_entries else 0
        while excess > 0 and (popped := await client.zpopmin(_KEYS, min(excess, BATCH))):
            await client.delete(*(_VALUE + key.decode() for key, _ in popped))
            excess -= len(popped)
        return max(0, number - self._max_entries * 9 // 10 - excess) if number > self._max_entries else 0

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """Return the client. Its errors become StoreUnavailable."""
        from redis import asyncio as library  # noqa: PLC0415 - an extra
        from redis.exceptions import RedisError  # noqa: PLC0415 - with it

        if self._opened is None:
            self._opened = library.Redis.from_url(
                self._url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, health_check_interval=5
            )
        try:
            yield self._opened
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(type(error).__name__) from error


def _bytes(entry: Entry) -> bytes:
    head = json.dumps([entry.versions, entry.fresh_until, entry.kept_until, entry.stamp]).encode()
    return head + b"\n" + entry.value


def _entry(data: bytes) -> Entry:
    head, _, value = data.partition(b"\n")
    return Entry(value, *json.loads(head))
