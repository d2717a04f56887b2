"""What any storage must do. Subclass it with a `storage` fixture: `class TestMine(StorageConformance)`."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fastopp.storage.base import ChecksumMismatch, FileMissing, InvalidKey, Storage, StoredFile

KEY = "photos/0123456789abcdef0123456789abcdef.jpg"
BAD_KEYS = (
    "",
    "/",
    "/etc/passwd",
    "photos/",
    "photos//a.jpg",
    "..",
    "../a.jpg",
    "photos/../../a.jpg",
    "photos/./a.jpg",
    ".hidden",
    "photos/.hidden.jpg",
    "photos\\a.jpg",
    "photos/a\x00.jpg",
    "photos/a\n.jpg",
    "photos/\ud800.jpg",
    "é" * 513,
)
ODD_KEYS = (
    "a",
    "photos/a b.jpg",
    "photos/a%2fb.jpg",
    "photos/%2e%2e%2fa.jpg",
    "photos/a+b&c=d?e#f.jpg",
    "photos/a#1",
    "photos/café.jpg",
    "photos/cafe\u0301.jpg",
    "photos/写真.jpg",
    "photos/a..b.jpg",
    "deep/" * 60 + "a.jpg",
    "photos/" + "x" * 240 + ".jpg",
)


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part


def batched(keys: list[str], count: int) -> Iterator[list[str]]:
    for start in range(0, len(keys), count):
        yield keys[start : start + count]


async def listed(storage: Storage, prefix: str = "") -> dict[str, StoredFile]:
    files = [file async for file in storage.list(prefix)]
    found = {file.key: file for file in files}
    assert len(found) == len(files)
    return found


def same(one: StoredFile, other: StoredFile) -> bool:
    """Whether they are the same; a storage far away has a clock of its own."""
    return abs(one.modified - other.modified) < timedelta(minutes=5) and one == other._replace(modified=one.modified)


async def streamed(storage: Storage, key: str, **limits: int) -> bytes:
    return b"".join([piece async for piece in storage.stream(key, **limits)])


class StorageConformance:
    """The suite. `storage` must be an empty storage, a new one for each test."""

    @pytest.fixture
    def storage(self) -> Storage:
        raise NotImplementedError

    def test_is_a_storage(self, storage: Storage) -> None:
        assert isinstance(storage, Storage)

    async def test_gives_back_what_was_put(self, storage: Storage) -> None:
        stored = await storage.put(KEY, b"hello", content_type="image/jpeg")
        assert await storage.get(KEY) == b"hello"
        assert same(stored, await storage.head(KEY))
        assert (stored.key, stored.size, stored.content_type) == (KEY, 5, "image/jpeg")
        assert stored.etag.startswith('"')
        assert stored.etag.endswith('"')
        assert abs(datetime.now(UTC) - stored.modified) < timedelta(minutes=5)

    async def test_takes_a_stream(self, storage: Storage) -> None:
        big = bytes(range(256)) * 4096 * 7
        stored = await storage.put(KEY, pieces(big, b"", b"end"), content_type="image/jpeg")
        assert stored.size == len(big) + 3
        assert await storage.get(KEY) == big + b"end"
        assert await streamed(storage, KEY) == big + b"end"

    async def test_compares_checksums(self, storage: Storage) -> None:
        big = bytes(range(256)) * 4096 * 7
        for data, parts in ((b"", []), (b"hello", [b"he", b"llo"]), (big, [big[:999], big[999:]])):
            good, bad = hashlib.md5(data).hexdigest(), hashlib.md5(b"!" + data).hexdigest()
            for source in (lambda data=data: data, lambda parts=parts: pieces(*parts)):
                with pytest.raises(ChecksumMismatch):
                    await storage.put(KEY, source(), content_type="image/jpeg", checksum=bad)
                assert await listed(storage) == {}
                await storage.put(KEY, source(), content_type="image/jpeg", checksum=good)
                assert await storage.get(KEY) == data
                await storage.delete(KEY)

    async def test_empty_file(self, storage: Storage) -> None:
        await storage.put(KEY, b"", content_type="image/jpeg")
        await storage.put("photos/b.jpg", pieces(), content_type="image/jpeg")
        assert await storage.get(KEY) == await storage.get("photos/b.jpg") == b""
        assert await streamed(storage, KEY) == b""
        assert (await storage.head(KEY)).size == 0

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (3, 5, b"34"),
            (9, 10, b"9"),
            (8, 99, b"89"),
            (0, 0, b""),
            (10, None, b""),
            (99, 100, b""),
            (5, 3, b""),
        ],
    )
    async def test_streams_ranges(self, storage: Storage, start: int, end: int | None, expected: bytes) -> None:
        await storage.put(KEY, b"0123456789", content_type="image/jpeg")
        assert b"".join([piece async for piece in storage.stream(KEY, start=start, end=end)]) == expected

    async def test_streams_ranges_of_a_big_file(self, storage: Storage) -> None:
        big = b"".join(number.to_bytes(4, "big") for number in range(1_000_000))
        await storage.put(KEY, big, content_type="image/jpeg")
        assert await streamed(storage, KEY, start=999_999, end=3_000_001) == big[999_999:3_000_001]

    async def test_a_stream_may_be_left(self, storage: Storage) -> None:
        await storage.put(KEY, bytes(3_000_000), content_type="image/jpeg")
        stream = storage.stream(KEY)
        assert await anext(stream)
        await stream.aclose()
        await storage.delete(KEY)

    async def test_replaces(self, storage: Storage) -> None:
        first = await storage.put(KEY, b"one", content_type="image/jpeg")
        second = await storage.put(KEY, b"two", content_type="image/jpeg")
        assert await storage.get(KEY) == b"two"
        assert first.etag != second.etag
        assert list(await listed(storage)) == [KEY]

    async def test_a_stream_that_fails_changes_nothing(self, storage: Storage) -> None:
        async def failing() -> AsyncIterator[bytes]:
            yield b"half"
            raise ConnectionError

        await storage.put(KEY, b"old", content_type="image/jpeg")
        for key in (KEY, "photos/new.jpg"):
            with pytest.raises(ConnectionError):
                await storage.put(key, failing(), content_type="image/jpeg")
        assert await storage.get(KEY) == b"old"
        assert list(await listed(storage)) == [KEY]

    async def test_a_cancelled_put_changes_nothing(self, storage: Storage) -> None:
        waiting = asyncio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield b"half"
            waiting.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(storage.put(KEY, endless(), content_type="image/jpeg"))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await listed(storage) == {}
        with pytest.raises(FileMissing):
            await storage.head(KEY)

    async def test_many_puts_of_one_key_leave_one_whole_file(self, storage: Storage) -> None:
        contents = [bytes([number]) * 100_000 for number in range(20)]
        await asyncio.gather(*(storage.put(KEY, content, content_type="image/jpeg") for content in contents))
        assert await storage.get(KEY) in contents
        assert list(await listed(storage)) == [KEY]

    async def test_missing(self, storage: Storage) -> None:
        with pytest.raises(FileMissing):
            await storage.get(KEY)
        with pytest.raises(FileMissing):
            await storage.head(KEY)
        with pytest.raises(FileMissing):
            await streamed(storage, KEY)
        await storage.put(KEY, b"x", content_type="image/jpeg")
        for beside in ("photos", f"{KEY}/a.jpg"):  # a folder is no file, and a file no folder
            with pytest.raises(FileMissing):
                await storage.get(beside)
            with pytest.raises(FileMissing):
                await storage.head(beside)
            await storage.delete(beside)
        assert await storage.get(KEY) == b"x"

    async def test_delete(self, storage: Storage) -> None:
        await storage.put(KEY, b"x", content_type="image/jpeg")
        await storage.delete(KEY)
        await storage.delete(KEY)
        with pytest.raises(FileMissing):
            await storage.get(KEY)
        assert await listed(storage) == {}

    async def test_lists_by_prefix(self, storage: Storage) -> None:
        assert await listed(storage) == {}
        keys = ("a.jpg", "photos/a.jpg", "photos/ab.jpg", "photos/deep/c.jpg", "photos2/d.jpg")
        stored = {key: await storage.put(key, key.encode(), content_type="image/jpeg") for key in keys}
        found = await listed(storage)
        assert found.keys() == stored.keys()
        assert all(same(stored[key], found[key]) for key in keys)
        assert all([found[key] == await storage.durable.head(key) for key in keys])
        assert all([same(await storage.head(key), found[key]) for key in keys])  # which a cache may answer
        assert set(await listed(storage, "photos/")) == {keys[1], keys[2], keys[3]}
        assert set(await listed(storage, "photos/a")) == {keys[1], keys[2]}
        assert set(await listed(storage, "photos")) == set(keys[1:])
        assert set(await listed(storage, "photos/deep/c.jpg")) == {keys[3]}
        assert set(await listed(storage, "nothing/")) == set()

    async def test_lists_more_than_a_page(self, storage: Storage) -> None:
        keys = {f"photos/{number:04}.jpg" for number in range(1100)}
        for some in batched(sorted(keys), 50):
            await asyncio.gather(*(storage.put(key, b"", content_type="image/jpeg") for key in some))
        assert set(await listed(storage, "photos/")) == keys

    async def test_lists_lazily(self, storage: Storage) -> None:
        for number in range(3):
            await storage.put(f"photos/{number}.jpg", b"x", content_type="image/jpeg")
        files = storage.list("photos/")
        assert (await anext(files)).key.startswith("photos/")
        await files.aclose()

    @pytest.mark.parametrize("key", ODD_KEYS)
    async def test_odd_keys_are_kept_as_they_are(self, storage: Storage, key: str) -> None:
        await storage.put(key, key.encode(), content_type="image/jpeg")
        assert await storage.get(key) == key.encode()
        assert list(await listed(storage)) == [key]
        await storage.delete(key)
        assert await listed(storage) == {}

    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_bad_keys_are_refused(self, storage: Storage, key: str) -> None:
        with pytest.raises(InvalidKey):
            await storage.put(key, b"x", content_type="image/jpeg")
        with pytest.raises(InvalidKey):
            await storage.get(key)
        with pytest.raises(InvalidKey):
            await storage.head(key)
        with pytest.raises(InvalidKey):
            await anext(storage.stream(key))
        with pytest.raises(InvalidKey):
            await storage.delete(key)
        with pytest.raises(InvalidKey):
            storage.url(key)
        assert await listed(storage) == {}

    @pytest.mark.parametrize("prefix", ["../", "/", "/a", "/etc/", "photos/../../", "a\\b/"])
    async def test_bad_prefixes_are_refused(self, storage: Storage, prefix: str) -> None:
        with pytest.raises(InvalidKey):
            await listed(storage, prefix)

    def test_url_is_quoted(self, storage: Storage) -> None:
        assert storage.url("photos/a b%2f#?é.jpg").endswith("photos/a%20b%252f%23%3F%C3%A9.jpg")
