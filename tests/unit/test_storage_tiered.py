from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from anyio import to_thread, wait_all_tasks_blocked

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.base import FileMissing, NoDirectTransfer, StorageUnavailable, StoredFile
from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.disk import CHUNK
from fastopp.storage.local import LocalStorage
from fastopp.storage.tiered import CONFIRM_AFTER, DOWN_FOR, TieredStorage
from fastopp.testing import ManualClock
from tests.storage_conformance import KEY, StorageConformance, listed, pieces, streamed

CACHE_SIZE = 64_000_000
BIG = os.urandom(10 * CHUNK + 17)


class Remote(LocalStorage):
    """A storage in a folder that counts what it is asked, and can be slow or down."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.heads = self.downloads = 0
        self.down = False
        self.answers = asyncio.Event()
        """What it knows of a file is not told until it is set."""
        self.answers.set()
        self.gate = asyncio.Event()
        """Downloads stop after the first piece until it is set."""
        self.gate.set()
        self.begun = asyncio.Event()
        """A download has begun."""

    async def head(self, key: str) -> StoredFile:
        self.heads += 1
        await self.answers.wait()
        self._check()
        return await super().head(key)

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        self.downloads += 1
        self.begun.set()
        self._check()
        async for piece in super().stream(key, start=start, end=end):
            yield piece
            self._check()
            await self.gate.wait()

    async def put(self, key: str, data: object, **options: object) -> StoredFile:
        self._check()
        return await super().put(key, data, **options)  # type: ignore[arg-type] # passed on as they are

    async def delete(self, key: str) -> None:
        self._check()
        await super().delete(key)

    def _check(self) -> None:
        if self.down:
            raise StorageUnavailable


class TestTieredStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[TieredStorage]:
        storage = TieredStorage(FileCache(tmp_path / "cache", CACHE_SIZE), LocalStorage(tmp_path / "durable"))
        yield storage
        await storage.aclose()


class TestWithAUselessCache(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path: Path) -> AsyncIterator[TieredStorage]:
        (tmp_path / "cache").write_text("in the way")
        storage = TieredStorage(FileCache(tmp_path / "cache", CACHE_SIZE), LocalStorage(tmp_path / "durable"))
        yield storage
        await storage.aclose()


@pytest.fixture
def durable(tmp_path: Path) -> Remote:
    return Remote(tmp_path / "durable")


def instance(durable: Remote, name: str = "one", size: int = CACHE_SIZE, clock: Clock = SYSTEM_CLOCK) -> TieredStorage:
    return TieredStorage(FileCache(durable.root.parent / name, size, clock=clock), durable, clock=clock)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def storage(durable: Remote, clock: ManualClock) -> AsyncIterator[TieredStorage]:
    storage = instance(durable, clock=clock)
    yield storage
    await storage.aclose()


async def settled(storage: TieredStorage) -> None:
    while storage._fills:
        await asyncio.wait([fill.task for fill in storage._fills.values()])
        await asyncio.sleep(0)


async def looked_in_the_cache() -> None:
    """Whoever has begun to read has found that it is not there, and waits for the durable storage."""
    threads = to_thread.current_default_thread_limiter()
    await wait_all_tasks_blocked()
    while threads.borrowed_tokens:
        await asyncio.sleep(0.001)
        await wait_all_tasks_blocked()


async def test_what_was_written_is_durable_and_cached(storage: TieredStorage, durable: Remote) -> None:
    stored = await storage.put(KEY, pieces(b"a", BIG), content_type="image/jpeg")
    await storage.put("photos/b.jpg", b"b", content_type="image/jpeg")
    assert await durable.get(KEY) == b"a" + BIG
    assert await storage.get(KEY) == b"a" + BIG
    assert await storage.get("photos/b.jpg") == b"b"
    assert await storage.head(KEY) == stored
    assert (durable.heads, durable.downloads) == (0, 0)


async def test_a_miss_fills_the_cache(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    assert await storage.head(KEY) == await LocalStorage(durable.root).head(KEY)
    assert durable.downloads == 0, "to know of a file does not download it"
    assert await storage.get(KEY) == BIG
    await settled(storage)
    assert await storage.get(KEY) == BIG
    assert await streamed(storage, KEY, start=5, end=9) == BIG[5:9]
    assert durable.downloads == 1


async def test_any_number_of_misses_cost_one_download(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.answers.clear()
    durable.gate.clear()
    middle = (3 * CHUNK + 5, 5 * CHUNK)
    readers = [asyncio.create_task(storage.get(KEY)) for _ in range(60)]
    readers += [asyncio.create_task(streamed(storage, KEY, start=middle[0], end=middle[1])) for _ in range(20)]
    await looked_in_the_cache()
    durable.answers.set()
    await durable.begun.wait()
    readers += [asyncio.create_task(storage.get(KEY)) for _ in range(20)]
    await looked_in_the_cache()
    durable.gate.set()
    contents = await asyncio.gather(*readers)
    assert contents == [BIG] * 60 + [BIG[slice(*middle)]] * 20 + [BIG] * 20
    assert (durable.heads, durable.downloads) == (1, 1)


async def test_what_has_arrived_is_handed_on_at_once(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.gate.clear()
    readers = [storage.stream(KEY), storage.stream(KEY, start=10)]
    assert await anext(readers[0]) == BIG[:CHUNK]
    assert await anext(readers[1]) == BIG[10:CHUNK]
    durable.gate.set()
    assert b"".join([piece async for piece in readers[0]]) == BIG[CHUNK:]
    await readers[1].aclose()


async def test_a_download_goes_on_when_its_reader_leaves(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    reader = storage.stream(KEY)
    await anext(reader)
    await reader.aclose()
    await settled(storage)
    durable.down = True
    assert await storage.get(KEY) == BIG


async def test_readers_that_are_cancelled_disturb_nobody(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.gate.clear()
    readers = [asyncio.create_task(storage.get(KEY)) for _ in range(10)]
    await durable.begun.wait()
    for reader in readers[::2]:
        reader.cancel()
    durable.gate.set()
    contents = await asyncio.gather(*readers, return_exceptions=True)
    assert contents[1::2] == [BIG] * 5
    assert durable.downloads == 1


async def test_a_download_that_breaks_off_is_not_cached(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.gate.clear()
    reader = storage.stream(KEY)
    got = await anext(reader)
    durable.down = True
    durable.gate.set()
    with pytest.raises(StorageUnavailable):
        await streamed_from(reader)
    assert got == BIG[:CHUNK]
    await settled(storage)
    assert list(storage.cache.folder.iterdir()) == []
    durable.down = False
    assert await storage.get(KEY) == BIG


async def test_a_file_that_came_too_short_is_neither_handed_out_whole_nor_cached(
    storage: TieredStorage, durable: Remote
) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    opened = await storage.open(KEY)
    os.truncate(durable.root / KEY, len(BIG) - 1)
    with pytest.raises(StorageUnavailable):
        await streamed_from(opened.stream())
    assert list(storage.cache.folder.iterdir()) == []


async def streamed_from(stream: AsyncGenerator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("when", ["before", "while it fills", "while it is read"])
async def test_the_cache_may_vanish(storage: TieredStorage, durable: Remote, when: str) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    if when == "before":
        shutil.rmtree(storage.cache.folder)
        assert await storage.get(KEY) == BIG
    elif when == "while it fills":
        shutil.rmtree(storage.cache.folder)
        durable.gate.clear()
        reader = storage.stream(KEY)
        got = await anext(reader)
        shutil.rmtree(storage.cache.folder)
        durable.gate.set()
        assert got + await streamed_from(reader) == BIG
    else:
        reader = storage.stream(KEY)
        got = await anext(reader)
        shutil.rmtree(storage.cache.folder)
        assert got + await streamed_from(reader) == BIG
    await settled(storage)
    assert await storage.get(KEY) == BIG
    await storage.put("photos/b.jpg", b"b", content_type="image/jpeg")
    assert await storage.get("photos/b.jpg") == b"b"


async def test_a_cache_that_fails_fails_nothing(durable: Remote, caplog: pytest.LogCaptureFixture) -> None:
    (durable.root.parent / "file").write_text("in the way")
    storage = instance(durable, "file")
    caplog.set_level(logging.WARNING)
    for number in range(3):
        await storage.put(f"photos/{number}.jpg", BIG, content_type="image/jpeg")
        assert await storage.get(f"photos/{number}.jpg") == BIG
    assert len([record for record in caplog.records if record.name.endswith("cache.file_cache")]) == 1
    await storage.aclose()


async def test_a_file_larger_than_the_cache_passes_through(durable: Remote) -> None:
    storage = instance(durable, size=len(BIG))
    await storage.put(KEY, pieces(BIG), content_type="image/jpeg")
    assert await storage.get(KEY) == BIG
    assert await streamed(storage, KEY, start=CHUNK - 1, end=CHUNK + 1) == BIG[CHUNK - 1 : CHUNK + 1]
    assert list(storage.cache.folder.iterdir()) == []
    await storage.aclose()


async def test_two_instances_agree(storage: TieredStorage, durable: Remote, clock: ManualClock) -> None:
    other = instance(durable, "two", clock=clock)
    stored = await storage.put(KEY, BIG, content_type="image/jpeg")
    assert await other.get(KEY) == BIG
    assert await other.head(KEY) == await storage.head(KEY) == stored
    assert await listed(other) == await listed(storage) == {KEY: stored}
    await other.delete(KEY)
    with pytest.raises(FileMissing):
        await other.get(KEY)
    assert await storage.get(KEY) == BIG, "shown until it is confirmed again"
    clock.advance(CONFIRM_AFTER + 1)
    for _ in range(2):
        with pytest.raises(FileMissing):
            await storage.get(KEY)
    assert list(storage.cache.folder.iterdir()) == []
    await storage.put(KEY, b"one", content_type="image/jpeg")
    assert await other.get(KEY) == b"one"
    await storage.put(KEY, b"two!", content_type="image/jpeg")  # nobody does; but if somebody does
    clock.advance(CONFIRM_AFTER + 1)
    assert await other.get(KEY) == b"two!"
    await other.aclose()


async def test_what_is_confirmed_is_not_asked_for_again(
    storage: TieredStorage, durable: Remote, clock: ManualClock
) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    clock.advance(CONFIRM_AFTER + 1)
    assert await storage.get(KEY) == BIG
    assert await asyncio.gather(*(storage.get(KEY) for _ in range(20))) == [BIG] * 20
    assert durable.heads == 1
    assert durable.downloads == 0


async def test_readers_of_one_moment_ask_once(storage: TieredStorage, durable: Remote, clock: ManualClock) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    clock.advance(CONFIRM_AFTER + 1)
    durable.answers.clear()
    readers = [asyncio.create_task(storage.get(KEY)) for _ in range(20)]
    await looked_in_the_cache()
    durable.answers.set()
    assert await asyncio.gather(*readers) == [BIG] * 20
    assert durable.heads == 1
    assert durable.downloads == 0


async def test_while_the_durable_storage_is_down(storage: TieredStorage, durable: Remote, clock: ManualClock) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    await storage.put("photos/old.jpg", b"old", content_type="image/jpeg")
    clock.advance(CONFIRM_AFTER + 1)
    assert await storage.get(KEY) == BIG  # so only the other one is old
    durable.down, durable.heads = True, 0
    assert await storage.get(KEY) == BIG
    assert [await storage.get("photos/old.jpg") for _ in range(3)] == [b"old"] * 3
    assert durable.heads == 1, "not every reader waits for it"
    for work in (
        storage.put("photos/new.jpg", b"x", content_type="image/jpeg"),
        storage.put("photos/new.jpg", pieces(b"x"), content_type="image/jpeg"),
        storage.get("photos/new.jpg"),
        storage.delete(KEY),
    ):
        with pytest.raises(StorageUnavailable) as raised:
            await work
        assert raised.value.status == 503
    assert await storage.get(KEY) == BIG
    durable.down, durable.heads = False, 0
    with pytest.raises(FileMissing):
        await storage.get("photos/new.jpg")
    assert await storage.get("photos/old.jpg") == b"old"
    assert durable.heads == 1, "it is not asked about what is cached"
    clock.advance(DOWN_FOR)
    assert [await storage.get("photos/old.jpg") for _ in range(3)] == [b"old"] * 3
    assert durable.heads == 2, "it is asked again, and confirms what is cached"


async def test_what_is_deleted_while_it_is_fetched_is_not_cached(storage: TieredStorage, durable: Remote) -> None:
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.gate.clear()
    reader = storage.stream(KEY)
    await anext(reader)
    await storage.delete(KEY)
    durable.gate.set()
    with pytest.raises(FileMissing):
        await streamed_from(reader)
    with pytest.raises(FileMissing):
        await storage.get(KEY)
    assert list(storage.cache.folder.iterdir()) == []


async def test_puts_and_reads_of_one_key_at_once_end_with_what_is_durable(
    storage: TieredStorage, durable: Remote
) -> None:
    contents = [bytes([number]) * 300_000 for number in range(12)]

    async def write(content: bytes) -> None:
        await storage.put(KEY, pieces(content[:9], content[9:]), content_type="image/jpeg")

    async def read() -> None:
        with suppress(FileMissing, StorageUnavailable):
            assert len(await storage.get(KEY)) == 300_000

    await asyncio.gather(*(work for content in contents for work in (write(content), read(), read())))
    await settled(storage)
    assert await storage.get(KEY) == await durable.get(KEY)
    assert storage._writers == {}


async def test_a_folder_cannot_be_reached_by_browsers(storage: TieredStorage) -> None:
    with pytest.raises(NoDirectTransfer, match="S3_BUCKET"):
        await storage.presigned_put(KEY, size=1, content_type="image/jpeg", expires=timedelta(minutes=1))
    with pytest.raises(NoDirectTransfer):
        await storage.presigned_get(KEY, expires=timedelta(minutes=1))


async def test_closing_ends_downloads(durable: Remote) -> None:
    storage = instance(durable)
    await durable.put(KEY, BIG, content_type="image/jpeg")
    durable.gate.clear()
    reader = storage.stream(KEY)
    await anext(reader)
    await storage.aclose()
    with pytest.raises(StorageUnavailable):
        await streamed_from(reader)
    assert list(storage.cache.folder.iterdir()) == []


async def test_rubbish_goes(storage: TieredStorage, durable: Remote) -> None:
    for folder in (storage.cache.folder, durable.root):
        folder.mkdir(exist_ok=True)
        (folder / ".incoming-0123").write_bytes(b"half")
        os.utime(folder / ".incoming-0123", (1, 1))
    assert await storage.sweep() == 2
