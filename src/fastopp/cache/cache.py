"""`Cache`: get a value, or compute it once for everyone who misses it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, NamedTuple

from starlette.exceptions import HTTPException

from fastopp.cache.errors import StoreUnavailable
from fastopp.cache.front import MAX_ENTRIES, Front
from fastopp.cache.store import EVERYTHING, LEASE, Entry, Found, Store
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError

log = logging.getLogger(__name__)

MAX_VALUE: Final = 1024 * 1024
"""Bytes of a value; a larger one is computed each time."""

AFTER_FAILURE: Final = 5.0
"""Seconds for which a store that failed is not asked again, or not written where it can be read."""

PASS: Final = 5.0
"""Seconds for which a key whose value was not to be kept is computed by each caller, without a claim."""

FIRST_WAIT, LONGEST_WAIT = 0.02, 0.5
"""Seconds between two looks whether another instance has computed a value."""


Outcome = Literal["kept", "stale", "failed", "cancelled"]


class Plan(NamedTuple):
    """The times and tags of a value."""

    seconds: float
    """It is fresh for so long, from the moment when its computation began."""
    stale: float = 0.0
    """So long afterwards it is served while a newer one cannot be had."""
    tags: Sequence[str] = ()


class Got(NamedTuple):
    """A value and where it comes from."""

    value: bytes
    status: str
    """`hit`, `stale`, `miss` (computed now) or `bypass` (computed, and not kept)."""


class Uncached(Exception):
    """Raised by a computation whose result is not to be kept; it has the result."""

    def __init__(self, result: object, *, failed: bool = False) -> None:
        self.result = result
        self.failed = failed
        """The result reports an outage: a stale value is better."""
        super().__init__()


class Cache:
    """The cache of a process: what it has at hand, and the store that all instances share.

    Parameters
    ----------
    store: None for no cache: everything is computed.
    """

    def __init__(
        self, store: Store | None, *, code_version: Callable[[], str] = str, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.store = store
        self.code_version = code_version
        """Returns another text for another version of the code."""
        self._clock = clock
        self._front = Front(clock)
        self._computing: dict[str, asyncio.Future[Outcome]] = {}
        self._passed: OrderedDict[str, float] = OrderedDict()
        self._changes = 0  # invalidations by this process
        self._down_until = 0.0
        self._read_only_until = 0.0

    @property
    def enabled(self) -> bool:
        """Whether values are kept."""
        return self.store is not None

    async def get(self, key: str, plan: Plan, compute: Callable[[], Awaitable[bytes]], *, keep: bool = True) -> Got:
        """Return a value, computed if there is none.

        Parameters
        ----------
        compute: returns the value, or raises Uncached. Only one of those who miss a value calls it.
        keep: without it a value that is computed is not kept, and none is waited for.

        Raises
        ------
        The errors of `compute`, unless there is a stale value.
        """
        if self.store is None or self._clock.monotonic() < self._passed.get(key, 0.0):
            return Got(await compute(), "bypass")
        if (recent := self._recent(key)) is not None:
            return Got(recent.value, "hit")
        if not keep:
            return await self._read_or_compute(key, plan, compute)
        while (other := self._computing.get(key)) is not None:
            outcome = await asyncio.shield(other)
            if (recent := self._recent(key)) is not None:
                return Got(recent.value, "hit")
            if outcome == "failed":  # all at once: one after the other, the last would wait for all
                return Got(await compute(), "bypass")
            if outcome == "stale":
                return await self._without_store(key, compute)
        return await self._first(key, plan, compute)

    async def invalidate(self, *tags: str) -> None:
        """Invalidate values by their tags, now. In a transaction use `invalidate(session, …)`.

        Raises StoreUnavailable.
        """
        if self.store is not None:
            await self.store.invalidate(tags)
        self.forget(tags)

    def forget(self, tags: Sequence[str]) -> None:
        """Forget this process's copies of the values with these tags, also those that are under way."""
        self._changes += 1
        self._front.drop_tags(tags)

    async def clear(self) -> int | None:
        """Remove everything; the number of values, where it is known. Raises StoreUnavailable."""
        removed = await self.store.clear() if self.store else 0
        self._changes += 1
        self._front.clear()
        return removed

    async def clean_up(self) -> int:
        """Remove expired values; their number, and 0 while the store does not answer."""
        with suppress(StoreUnavailable):
            return await self.store.clean_up() if self.store else 0
        return 0

    async def aclose(self) -> None:
        """Close the store's own connections."""
        if self.store is not None:
            await self.store.aclose()

    def _recent(self, key: str) -> Entry | None:
        copy = self._front.get(key)
        if copy is None or self._clock.time() >= copy.entry.fresh_until or not self._front.is_recent(copy):
            return None
        return copy.entry

    async def _first(self, key: str, plan: Plan, compute: Callable[[], Awaitable[bytes]]) -> Got:
        """Get a value for all callers in this process that ask meanwhile."""
        done = self._computing[key] = asyncio.get_running_loop().create_future()
        outcome: Outcome = "failed"
        try:
            got = await self._get(key, plan, compute)
            outcome = "stale" if got.status == "stale" else "failed" if got.status == "bypass" else "kept"
        except asyncio.CancelledError:
            outcome = "cancelled"  # its caller has gone away: another one computes
            raise
        except Uncached as uncached:
            if not uncached.failed:
                self._pass(key)
            raise
        finally:
            del self._computing[key]
            done.set_result(outcome)
        return got

    def _pass(self, key: str) -> None:
        """Let a key that is not kept be computed by all callers at once for a while."""
        self._passed.pop(key, None)
        self._passed[key] = self._clock.monotonic() + PASS
        while len(self._passed) > MAX_ENTRIES:
            self._passed.popitem(last=False)

    async def _get(self, key: str, plan: Plan, compute: Callable[[], Awaitable[bytes]]) -> Got:
        waited, pause = 0.0, FIRST_WAIT
        while True:
            found = await self._read(key, plan)
            if found is None:
                return await self._without_store(key, compute)
            valid = found.entry if found.entry and found.entry.versions == found.versions else None
            if valid and self._clock.time() < valid.fresh_until:
                return Got(valid.value, "hit")
            token = secrets.token_hex(8)
            if not found.leased:
                leased = await self._lease(key, token, found.stamp)
                if leased is None:
                    return await self._without_store(key, compute)
                if leased:
                    return await self._compute(key, plan, compute, found, valid, token)
            if valid:
                return Got(valid.value, "stale")
            if waited >= LEASE:
                return Got(await compute(), "bypass")
            await self._clock.sleep(pause)
            waited, pause = waited + pause, min(pause * 1.5, LONGEST_WAIT)

    async def _compute(
        self,
        key: str,
        plan: Plan,
        compute: Callable[[], Awaitable[bytes]],
        found: Found,
        stale: Entry | None,
        token: str,
    ) -> Got:
        assert self.store  # noqa: S101 - callers have looked
        began, changes, kept = self._clock.time(), self._changes, False
        try:
            value = await compute()
            if len(value) > MAX_VALUE:
                self._pass(key)
                log.warning("A value of %s bytes is too large for the cache: it is computed each time", len(value))
                return Got(value, "bypass")
            # From the beginning, so that an instance that was frozen meanwhile does not keep an old value for new.
            fresh = began + plan.seconds
            entry = Entry(value, found.versions, fresh, fresh + plan.stale, token)
            with suppress(StoreUnavailable):
                kept = await self.store.write(key, entry)
            if kept and changes == self._changes:
                self._front.keep(key, entry, (EVERYTHING, *plan.tags))
            return Got(value, "miss")
        except Uncached as uncached:
            if uncached.failed and stale:
                return Got(stale.value, "stale")
            raise
        except Exception as error:  # the edge: what failed is logged, and visitors get the value of before
            if stale is None or is_refusal(error):
                raise
            log.warning("A cached value cannot be computed; the stale one is served", exc_info=True)
            return Got(stale.value, "stale")
        finally:
            if not kept:
                with suppress(StoreUnavailable):
                    await asyncio.shield(self.store.release(key, token))

    async def _read_or_compute(self, key: str, plan: Plan, compute: Callable[[], Awaitable[bytes]]) -> Got:
        found = await self._read(key, plan)
        entry = found.entry if found else None
        if found and entry and entry.versions == found.versions and self._clock.time() < entry.fresh_until:
            return Got(entry.value, "hit")
        return Got(await compute(), "bypass")

    async def _without_store(self, key: str, compute: Callable[[], Awaitable[bytes]]) -> Got:
        """Return this process's copy, as long as it is kept, or compute the value."""
        copy = self._front.get(key)
        if copy is not None and self._clock.time() < copy.entry.kept_until:
            return Got(copy.entry.value, "stale")
        return Got(await compute(), "bypass")

    async def _read(self, key: str, plan: Plan) -> Found | None:
        """Return what the store has; None while it does not answer."""
        if self.store is None or self._clock.monotonic() < self._down_until:
            return None
        copy, changes = self._front.get(key), self._changes
        try:
            found = await self.store.read(key, plan.tags, copy.entry if copy else None)
        except StoreUnavailable as error:
            log.warning("The store of the cache does not answer: %s", error)
            self._down_until = self._clock.monotonic() + AFTER_FAILURE
            return None
        if found.entry and found.entry.versions == found.versions and changes == self._changes:
            self._front.keep(key, found.entry, (EVERYTHING, *plan.tags))
        else:
            self._front.drop(key)
        return found

    async def _lease(self, key: str, token: str, seen: str) -> bool | None:
        assert self.store  # noqa: S101 - callers have looked
        if self._clock.monotonic() < self._read_only_until:
            return None
        try:
            return await self.store.lease(key, token, seen)
        except StoreUnavailable as error:  # of a SQLite file another process may be writing: it can be read
            log.warning("The cache cannot be written: %s", error)
            self._read_only_until = self._clock.monotonic() + AFTER_FAILURE
            with suppress(StoreUnavailable):  # it may have been claimed too late, and others would wait for the value
                await self.store.release(key, token)
            return None


def is_refusal(error: Exception) -> bool:
    """Return whether an error is an answer about the request, like 404, and no failure."""
    if isinstance(error, HTTPException):
        return error.status_code < 500
    return isinstance(error, FastOppError) and error.status < 500
