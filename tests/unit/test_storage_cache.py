# ruff: noqa: ASYNC240 - a test may block: nothing else runs on its loop

from __future__ import annotations

import errno
import gc
import logging
import os
import time
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import pytest

from fastopp.storage.base import StoredFile
from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.cache.format import Cached
from fastopp.storage.disk import CHUNK, TEMPORARY

KEY = "photos/0123456789abcdef0123456789abcdef.jpg"


def described(key: str, size: int) -> StoredFile:
    return StoredFile(key, size, '"abc"', "image/jpeg", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


async def store(cache: FileCache, key: str, content: bytes) -> bool:
    copy = await cache.begin(len(content))
    await copy.write(content)
    done = await copy.publish(key, described(key, len(content)))
    copy.close()
    return done


async def content_of(cached: Cached | None) -> bytes | None:
    return None if cached is None else b"".join([piece async for piece in cached.opened.stream()])


def age(cache: FileCache, key: str, *, used: float) -> None:
    """As if a file had been used so many seconds ago."""
    path = cache.path(key)
    os.utime(path, (time.time() - used, path.stat().st_mtime))


def total(cache: FileCache) -> int:
    return sum(path.stat().st_size for path in cache.folder.iterdir())


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(tmp_path / "deep" / "cache", 1_000_000)


@pytest.mark.parametrize("size", [0, 1, 50_000, CHUNK - 200, CHUNK, CHUNK + 1, 450_000])
async def test_content_and_what_is_known_survive_a_restart(cache: FileCache, size: int) -> None:
    content = os.urandom(size)
    assert await cache.open(KEY) is None
    assert not cache.folder.exists()
    assert await store(cache, KEY, content)
    again = FileCache(cache.folder, cache.max_bytes)
    cached = await again.open(KEY)
    assert cached is not None
    assert cached.opened.file == described(KEY, size)
    assert await content_of(cached) == content
    part = await again.open(KEY)
    assert part is not None
    assert b"".join([piece async for piece in part.opened.stream(10, size - 10)]) == content[10 : max(size - 10, 0)]
    await again.remove(KEY)
    await again.remove(KEY)
    assert await again.open(KEY) is None
    assert list(cache.folder.iterdir()) == []


@pytest.mark.parametrize(
    "key", ["x" * 1024, "é" * 512, '"' * 1024, "写" * 341, "photos", "photos/a", "cafe\u0301", "café"]
)
async def test_any_key(cache: FileCache, key: str) -> None:
    for other in ("photos", "photos/a", "cafe\u0301", "café", "CAFÉ"):
        await store(cache, other, other.encode() * 10_000)
    await store(cache, key, key.encode() * 300)
    assert await content_of(await cache.open(key)) == key.encode() * 300


async def test_the_least_recently_used_goes_first(cache: FileCache) -> None:
    for number in range(9):
        await store(cache, f"{number}", bytes(100_000))
        age(cache, f"{number}", used=1000 - number)
    await content_of(await cache.open("0"))  # marks it as used now
    await store(cache, "new", bytes(100_000))
    there = {key for key in (*map(str, range(9)), "new") if await content_of(await cache.open(key))}
    assert {"0", "new", "8"} <= there
    assert "1" not in there
    assert total(cache) <= cache.max_bytes


async def test_it_never_holds_more_than_its_limit(cache: FileCache) -> None:
    for number in range(200):
        await store(cache, f"{number}", os.urandom(30_000))
        assert total(cache) <= cache.max_bytes
    assert total(cache) >= cache.max_bytes * 3 / 4


async def test_several_processes_hold_hardly_more(cache: FileCache) -> None:
    processes = [FileCache(cache.folder, cache.max_bytes) for _ in range(4)]
    most = 0
    for number in range(200):
        await store(processes[number % 4], f"{number}", bytes(10_000))
        most = max(most, total(cache))
    assert most <= cache.max_bytes * (1 + 4 / 16)


async def test_a_file_too_large_is_not_kept(cache: FileCache) -> None:
    await store(cache, KEY, b"small")
    assert not await store(cache, "big", bytes(500_001))
    copy = await cache.begin()  # of unknown size
    for _ in range(60):
        await copy.write(bytes(10_000))
    assert not copy.alive
    assert not await copy.publish("big", described("big", 600_000))
    copy.close()
    assert await cache.open("big") is None
    assert await content_of(await cache.open(KEY)) == b"small"
    assert len(list(cache.folder.iterdir())) == 1


async def test_a_reader_reads_on_when_its_file_goes(cache: FileCache) -> None:
    content = os.urandom(450_000)
    await store(cache, KEY, content)
    cached = await cache.open(KEY)
    assert cached is not None
    pieces = cached.opened.stream()
    first = await anext(pieces)
    await store(cache, "b", bytes(400_000))
    await store(cache, "c", bytes(450_000))
    assert await cache.open(KEY) is None
    assert first + b"".join([piece async for piece in pieces]) == content


async def test_what_is_damaged_is_not_there(cache: FileCache) -> None:
    content = os.urandom(1000)
    await store(cache, KEY, content)
    path = cache.path(KEY)
    whole = path.read_bytes()
    others = (
        b"",
        b"FOP1",
        whole[:-1],
        whole[:500],
        whole[1:],
        whole + b"x",
        b"\xff\xff\xff\xffFOP1",
        whole[:-20] + b"x" * 12 + whole[-8:],
    )
    for damaged in others:
        path.write_bytes(damaged)
        assert await cache.open(KEY) is None, damaged
        assert not path.exists()
    path.write_bytes(whole)
    path.rename(cache.path("another"))
    assert await cache.open("another") is None


async def test_the_folder_may_vanish(cache: FileCache) -> None:
    await store(cache, KEY, b"x")
    copy = await cache.begin()
    await copy.write(b"half")
    cache.folder.rename(cache.folder.with_name("gone"))
    assert await cache.open(KEY) is None
    await copy.write(b"more")
    assert copy.read_at(2, 100) == b"lfmore"
    assert not await copy.publish(KEY, described(KEY, 8))
    copy.close()
    assert await store(cache, KEY, b"y")
    assert await content_of(await cache.open(KEY)) == b"y"


async def test_a_folder_that_cannot_be_used_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "file").write_text("in the way")
    cache = FileCache(tmp_path / "file", 1_000_000)
    for _ in range(3):
        assert not await store(cache, KEY, b"x")
        assert await cache.open(KEY) is None
        await cache.remove(KEY)
        assert await cache.sweep() == 0
    assert len(caplog.records) == 1


async def test_a_full_disk_gives_up_the_copy(
    cache: FileCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fastopp.storage.cache.file_cache.FileIO", Full)
        for _ in range(2):
            assert not await store(cache, KEY, b"x")
    assert list(cache.folder.iterdir()) == []
    assert len(caplog.records) == 1
    assert await store(cache, KEY, b"x")


async def test_on_a_full_disk_the_older_half_goes(cache: FileCache, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(8):
        await store(cache, f"{number}", bytes(10_000))
        age(cache, f"{number}", used=1000 - number)

    class Full(FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fastopp.storage.cache.file_cache.FileIO", Full)
        assert not await store(cache, KEY, b"x")
    assert [str(number) for number in range(8) if await cache.open(f"{number}")] == ["4", "5", "6", "7"]


async def test_abandoned_files_go_and_others_stay(cache: FileCache) -> None:
    await store(cache, KEY, b"x")
    old, young = cache.folder / f"{TEMPORARY}old", cache.folder / f"{TEMPORARY}young"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert await cache.sweep() == 1
    assert not old.exists()
    assert young.exists()
    assert await content_of(await cache.open(KEY)) == b"x"


async def test_use_and_confirmation_are_kept_apart(cache: FileCache) -> None:
    await store(cache, KEY, b"x")
    os.utime(cache.path(KEY), (1000, 2000))
    cached = await cache.open(KEY)
    assert cached is not None
    assert cached.confirmed == 2000
    status = cache.path(KEY).stat()
    assert (status.st_mtime, abs(status.st_atime - time.time()) < 60) == (2000, True)
    await cache.confirm(KEY)
    assert time.time() - cache.path(KEY).stat().st_mtime < 60


async def test_no_descriptor_is_left(cache: FileCache) -> None:
    await store(cache, KEY, bytes(CHUNK + 1))
    gc.collect()  # what other tests have left
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        cached = await cache.open(KEY)
        assert cached is not None
        cached.opened.close()
        pieces = (await cache.open(KEY)).opened.stream()  # type: ignore[union-attr] # it is there
        await anext(pieces)
        await pieces.aclose()
        await store(cache, "other", b"x")
        await content_of(await cache.open("other"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
