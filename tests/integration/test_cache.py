"""The cache on SQLite, PostgreSQL and LeapCell's Redis: one computation, versions, stale values, leases and bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fastopp.cache import cache as cache_module
from fastopp.cache import front
from fastopp.cache.cache import Cache, Plan, Uncached
from fastopp.cache.errors import StoreUnavailable
from fastopp.cache.redis_store import RedisStore
from fastopp.cache.sql_store import SQLStore
from fastopp.cache.store import LEASE, Entry, Store
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.session import Database
from fastopp.errors import NotFound
from fastopp.testing import ManualClock
from leapcell_emulator.services.redis import Redis
from tests.gate import only_full
from tests.services.caches import KEY, MINUTE, Counter, get
from tests.services.databases import Templates
from tests.services.migrations import migrated

MakeStore = Callable[..., Store]


@pytest.fixture(params=["sqlite", "psycopg", "redis", *only_full("asyncpg", "psycopg behind a pooler")])
async def make_store(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    templates: Templates,
    open_database: Callable[..., Database],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[MakeStore]:
    """Returns stores of one place, each as another instance has it."""
    opened: list[Store] = []

    def of_database(clock: Clock = SYSTEM_CLOCK, *, max_entries: int = 100, max_bytes: int = 10_000_000) -> Store:
        database = open_database(url)
        return SQLStore(database, max_bytes=max_bytes, max_entries=max_entries, patience=MINUTE.seconds, clock=clock)

    def of_redis(clock: Clock = SYSTEM_CLOCK, *, max_entries: int = 100, max_bytes: int = 0) -> Store:
        opened.append(RedisStore(server.url, max_entries=max_entries, clock=clock))
        return opened[-1]

    if request.param == "redis":
        async with Redis() as server:
            monkeypatch.setenv("SSL_CERT_FILE", server.environment()["SSL_CERT_FILE"])
            yield of_redis
            for store in opened:
                await store.aclose()
            assert server.status()["refused"] == 0
    elif request.param.endswith("pooler"):
        url = request.getfixturevalue("pooler_url")
        await migrated(url, tmp_path)
        yield of_database
    else:
        with templates.copied(request.param, tmp_path, migrated) as url:
            yield of_database


async def test_a_value_is_computed_once_until_it_expires(make_store: MakeStore) -> None:
    clock, compute = ManualClock(), Counter()
    here, there = (Cache(make_store(clock), clock=clock) for _ in range(2))

    assert await get(here, compute) == (b"1", "miss")
    assert await get(here, compute) == (b"1", "hit")
    assert await get(there, compute) == (b"1", "hit")
    clock.advance(59)
    assert await get(there, compute) == (b"1", "hit")
    clock.advance(1)
    assert await get(there, compute) == (b"2", "miss")
    assert await get(here, compute) == (b"2", "hit")


async def test_a_tag_invalidates_in_all_instances_and_clear_removes_everything(make_store: MakeStore) -> None:
    clock, compute = ManualClock(), Counter()
    here, there = (Cache(make_store(clock), clock=clock) for _ in range(2))
    await get(here, compute)
    await get(there, compute)

    await here.invalidate("other")
    assert await get(here, compute) == (b"1", "hit")
    await here.invalidate("books", "other")
    assert await get(here, compute) == (b"2", "miss")
    assert await get(there, compute) == (b"1", "hit")  # its copy, for a second
    clock.advance(front.LIFETIME)
    assert await get(there, compute) == (b"2", "hit")

    assert await here.clear() == 1
    clock.advance(front.LIFETIME)
    assert await get(there, compute) == (b"3", "miss")


@pytest.mark.parametrize("change", ["invalidate", "clear"])
async def test_a_value_computed_before_a_change_is_not_served_after_it(make_store: MakeStore, change: str) -> None:
    compute = Counter()
    here, there = (Cache(make_store()) for _ in range(2))
    compute.go_on.clear()
    old = asyncio.create_task(get(here, compute))
    await compute.started.wait()

    await (there.invalidate("books") if change == "invalidate" else there.clear())
    compute.go_on.set()

    assert (await old)[0] == b"1"  # who asked before the change gets the state of before
    assert await get(there, compute) == (b"2", "miss")


async def test_simultaneous_misses_of_two_instances_cost_one_computation(make_store: MakeStore) -> None:
    compute = Counter()
    instances = [Cache(make_store()) for _ in range(2)]
    compute.go_on.clear()
    asked = [asyncio.create_task(get(instances[number % 2], compute)) for number in range(40)]
    await compute.started.wait()
    await asyncio.sleep(0.1)
    compute.go_on.set()

    answers = await asyncio.gather(*asked)
    assert compute.number == 1
    assert {value for value, _ in answers} == {b"1"}


async def test_who_waits_goes_on_when_the_one_that_computes_is_cancelled(make_store: MakeStore) -> None:
    compute = Counter()
    cache = Cache(make_store())
    compute.go_on.clear()
    first = asyncio.create_task(get(cache, compute))
    await compute.started.wait()
    second = asyncio.create_task(get(cache, compute))
    await asyncio.sleep(0)
    first.cancel()
    compute.go_on.set()

    assert await second == (b"2", "miss")


async def test_who_asks_after_a_change_does_not_get_what_was_being_computed_before_it(make_store: MakeStore) -> None:
    compute = Counter()
    cache = Cache(make_store())
    compute.go_on.clear()
    first = asyncio.create_task(get(cache, compute))
    await compute.started.wait()
    await cache.invalidate("books")
    second = asyncio.create_task(get(cache, compute))
    await asyncio.sleep(0)
    compute.go_on.set()

    assert (await first)[0] == b"1"
    assert await second == (b"2", "miss")


async def test_a_failure_is_not_waited_for_one_after_the_other(make_store: MakeStore) -> None:
    compute = Counter()
    cache = Cache(make_store())
    compute.error = ValueError("broken")
    compute.go_on.clear()
    asked = [asyncio.create_task(get(cache, compute)) for _ in range(5)]
    await compute.started.wait()
    await asyncio.sleep(0)
    compute.go_on.set()
    await asyncio.wait(asked[:1])
    compute.go_on.clear()
    await asyncio.sleep(0.01)
    assert compute.number == 5  # all others at once
    compute.go_on.set()
    assert all(isinstance(error, ValueError) for error in await asyncio.gather(*asked, return_exceptions=True))


async def test_what_is_not_to_be_kept_is_computed_by_all_at_once(make_store: MakeStore) -> None:
    store = make_store()
    cache = Cache(store)

    async def compute() -> bytes:
        raise Uncached("page")

    with pytest.raises(Uncached):
        await get(cache, compute)
    assert await store.lease(KEY, "free again", "")
    for _ in range(2):  # without a claim: this one would be waited for
        with pytest.raises(Uncached):
            await get(cache, compute)


async def test_the_claim_of_a_dead_instance_expires(make_store: MakeStore) -> None:
    clock, compute = ManualClock(), Counter()
    dead, cache = make_store(clock), Cache(make_store(clock), clock=clock)
    assert await dead.lease(KEY, "dead", "")

    if isinstance(dead, RedisStore):  # whose time is Redis's own
        asked = asyncio.create_task(get(cache, compute))
        await clock.sleeper()
        await dead.release(KEY, "dead")
        clock.advance(1)
        assert await asked == (b"1", "miss")
    else:
        assert await clock.passing(get(cache, compute), cache_module.LONGEST_WAIT) == (b"1", "miss")
        assert clock.monotonic() >= LEASE


async def test_an_instance_that_was_frozen_stores_nothing(make_store: MakeStore) -> None:
    clock, compute = ManualClock(), Counter()
    frozen, cache = make_store(clock), Cache(make_store(clock), clock=clock)
    assert await frozen.lease(KEY, "frozen", "")
    if isinstance(frozen, RedisStore):
        await frozen.release(KEY, "frozen")
    clock.advance(LEASE)
    assert await get(cache, compute) == (b"1", "miss")

    now = clock.time()
    assert not await frozen.write(KEY, Entry(b"old", '["", ""]', now + 60, now + 60, "frozen"))
    clock.advance(front.LIFETIME)
    assert await get(cache, compute) == (b"1", "hit")


async def test_a_claim_is_refused_to_who_has_not_seen_the_newest_value(make_store: MakeStore) -> None:
    store = make_store()
    await get(Cache(store), Counter())

    assert not await store.lease(KEY, "late", "")
    stamp = (await store.read(KEY, ())).stamp
    assert await store.lease(KEY, "next", stamp)
    assert not await store.lease(KEY, "after", stamp)


async def test_a_stale_value_is_served_while_another_instance_computes(make_store: MakeStore) -> None:
    clock, compute, quick = ManualClock(), Counter(), Counter()
    here, there = (Cache(make_store(clock), clock=clock) for _ in range(2))
    await get(here, compute)
    clock.advance(61)
    compute.go_on.clear()
    compute.started.clear()
    computing = asyncio.create_task(get(here, compute))
    await compute.started.wait()

    assert await get(there, quick) == (b"1", "stale")
    compute.go_on.set()
    assert await computing == (b"2", "miss")
    assert quick.number == 0

    await here.invalidate("books")
    compute.go_on.clear()
    compute.started.clear()
    computing = asyncio.create_task(get(here, compute))
    await compute.started.wait()
    clock.advance(front.LIFETIME)
    waiting = asyncio.create_task(get(there, quick))
    await clock.sleeper()  # what was invalidated is not served: it waits
    compute.go_on.set()
    await computing
    clock.advance(1)
    assert await waiting == (b"3", "hit")


async def test_a_stale_value_is_served_while_the_computation_fails(make_store: MakeStore) -> None:
    clock, compute = ManualClock(), Counter()
    cache = Cache(make_store(clock), clock=clock)
    compute.error = ValueError("broken")
    with pytest.raises(ValueError, match="broken"):
        await get(cache, compute)  # errors are not kept
    compute.error = None
    await get(cache, compute)
    clock.advance(61)

    compute.error = ValueError("broken")
    assert await get(cache, compute) == (b"2", "stale")
    compute.error = NotFound()  # an answer, and no failure
    with pytest.raises(NotFound):
        await get(cache, compute)
    compute.error = ValueError("broken")
    clock.advance(600)
    with pytest.raises(ValueError, match="broken"):
        await get(cache, compute)


async def test_the_number_of_values_is_bounded(make_store: MakeStore) -> None:
    store = make_store(max_entries=20)
    cache = Cache(store)
    for number in range(70):
        await cache.get(f"{number:064}", Plan(60 + number), Counter())
    await cache.clean_up()

    there = [number for number in range(70) if (await store.read(f"{number:064}", ())).entry]
    assert 0 < len(there) <= 20
    assert 69 in there  # those that expire first are gone
    assert 0 not in there


async def test_clean_up_removes_what_has_expired(make_store: MakeStore) -> None:
    clock = ManualClock()
    store = make_store(clock)
    cache = Cache(store, clock=clock)
    await get(cache, Counter())
    assert await cache.clean_up() == 0
    clock.advance(661)
    assert (await store.read(KEY, ())).entry is None
    assert await cache.clean_up() == 1
    assert await cache.clean_up() == 0


class DeadStore:
    """A store that does not answer."""

    asked = 0

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object) -> None:
            self.asked += 1
            raise StoreUnavailable

        return fail


async def test_without_a_store_there_are_stale_copies_and_computations() -> None:
    clock, compute = ManualClock(), Counter()
    store = DeadStore()
    cache = Cache(store, clock=clock)  # type: ignore[arg-type] # it answers to all names
    assert await get(cache, compute) == (b"1", "bypass")
    assert await get(cache, compute) == (b"2", "bypass")
    assert store.asked == 1  # not with each request

    now = clock.time()
    cache._front.keep(KEY, Entry(b"copy", "", now + 60, now + 660, "x"), ("books",))
    clock.advance(600)
    assert await get(cache, compute) == (b"copy", "stale")
    assert await cache.clean_up() == 0


async def test_a_claim_that_came_too_late_holds_nobody_up(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, compute = ManualClock(), Counter()
    store = make_store(clock)
    here, there = Cache(store, clock=clock), Cache(make_store(clock), clock=clock)
    tried = []

    async def late(key: str, token: str, seen: str) -> bool:
        tried.append(await lease(key, token, seen))
        raise StoreUnavailable

    lease = store.lease
    monkeypatch.setattr(store, "lease", late)
    assert [await get(here, compute) for _ in range(2)] == [(b"1", "bypass"), (b"2", "bypass")]
    assert tried == [True]  # for a while it is not tried again
    assert await get(there, compute) == (b"3", "miss")
    assert await get(here, compute) == (b"3", "hit")

    clock.advance(61)
    monkeypatch.undo()
    assert await get(here, compute) == (b"4", "miss")


async def test_a_large_value_is_not_kept(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_VALUE", 0)
    cache, compute = Cache(make_store()), Counter()
    assert await get(cache, compute) == (b"1", "bypass")
    assert await get(cache, compute) == (b"2", "bypass")


def test_copies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "MAX_ENTRIES", 3)
    monkeypatch.setattr(front, "MAX_BYTES", 100)
    copies = front.Front(ManualClock())
    for number in range(5):
        copies.keep(str(number), Entry(b"x" * 10, "", 0, 0, ""), ())
    copies.get("2")
    copies.keep("5", Entry(b"x" * 80, "", 0, 0, ""), ())
    assert [key for key in "0123456" if copies.get(key)] == ["2", "4", "5"] or copies.get("5")
    copies.keep("6", Entry(b"x" * 101, "", 0, 0, ""), ())
    assert [key for key in "0123456" if copies.get(key)] == []


async def test_bytes_are_bounded(tmp_path: Path, templates: Templates, open_database: Callable[..., Database]) -> None:
    with templates.copied("sqlite", tmp_path, migrated) as url:
        store = SQLStore(open_database(url), max_bytes=100_000)
        cache = Cache(store)

        async def compute() -> bytes:
            return b"x" * 10_000

        for number in range(30):
            await cache.get(f"{number:064}", MINUTE, compute)
            there = sum([bool((await store.read(f"{each:064}", ())).entry) for each in range(number + 1)])
            assert there <= 11
