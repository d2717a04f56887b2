"""A storage of a user's own: the abstract methods of `Storage` are enough for everything else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fastopp.storage.base import ChecksumMismatch, FileMissing, NoDirectTransfer, Storage, StoredFile
from fastopp.storage.keys import check_key, folder_of
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.restore import restore_files
from tests.storage_conformance import KEY, StorageConformance

PIECE = 1_000_000  # bytes


class Memory(Storage):
    """The least that a storage can be: files in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[StoredFile, bytes]] = {}

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str, checksum: str | None = None
    ) -> StoredFile:
        check_key(key)
        if not isinstance(data, bytes | bytearray | memoryview):
            data = b"".join([piece async for piece in data])
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if checksum not in (None, md5):
            raise ChecksumMismatch
        file = StoredFile(key, len(data), f'"{md5}"', content_type, datetime.now(UTC))
        self.files[key] = file, bytes(data)
        return file

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        await self.head(key)
        wanted = self.files[key][1][start:end]
        for first in range(0, len(wanted), PIECE):
            yield wanted[first : first + PIECE]

    async def head(self, key: str) -> StoredFile:
        if check_key(key) not in self.files:
            raise FileMissing
        return self.files[key][0]

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        folder_of(prefix)
        for key in [*self.files]:
            if key.startswith(prefix):
                yield self.files[key][0]

    async def delete(self, key: str) -> None:
        self.files.pop(check_key(key), None)


@pytest.fixture
def storage() -> Memory:
    return Memory()


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> Memory:
        return Memory()


async def test_a_file_can_be_opened(storage: Memory) -> None:
    with pytest.raises(FileMissing):
        await storage.open(KEY)
    stored = await storage.put(KEY, bytes(range(100)), content_type="image/jpeg")
    opened = await storage.open(KEY)
    assert opened.file == stored
    assert b"".join([piece async for piece in opened.stream(10, 20)]) == bytes(range(10, 20))


async def test_browsers_cannot_reach_it(storage: Memory) -> None:
    lifetime = timedelta(minutes=1)
    with pytest.raises(NoDirectTransfer):
        await storage.presigned_get(KEY, expires=lifetime)
    with pytest.raises(NoDirectTransfer):
        await storage.presigned_put(KEY, size=1, content_type="image/jpeg", expires=lifetime)
    with pytest.raises(NoDirectTransfer):
        await storage.copy(KEY, "photos/other.jpg", etag="x")


async def test_it_can_be_checked_swept_and_closed(storage: Memory) -> None:
    await storage.check()
    assert await storage.sweep() == 0
    assert storage.durable is storage
    assert storage.cache is None
    await storage.aclose()


async def test_files_are_backed_up_and_restored(storage: Memory, tmp_path: Path) -> None:
    """Small ones in groups, and one that is sent in parts elsewhere."""
    contents = {f"photos/{number:04}.jpg": f"photo {number}".encode() for number in range(1100)}
    contents["videos/big.mp4"] = bytes(9_000_000)
    for key, content in contents.items():
        path = tmp_path / "from" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert (await backup_files(storage, tmp_path / "from")).copied == len(contents)
    assert (await backup_files(storage, tmp_path / "from")).skipped == len(contents)
    assert (await restore_files(storage, tmp_path / "to")).copied == len(contents)
    assert {key: (tmp_path / "to" / key).read_bytes() for key in contents} == contents
