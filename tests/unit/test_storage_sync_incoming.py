"""Small files come in groups: as many at once as there are threads, and past one that does not come promptly."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.sync.incoming import GROUP, THREADS
from fastopp.storage.sync.restore import restore_files

PATIENCE = 30  # seconds


class Shelf(Storage):
    """Files in memory that can be asked for from a thread; nothing else of a storage is called."""

    put = head = delete = url = None

    def __init__(self, count: int) -> None:
        self.files = {f"photos/{number:04}.jpg": f"photo {number}".encode() for number in range(count)}
        self.prepared = 0
        self.promptly: list[str] = []
        self.carefully: list[str] = []
        self.refuses: set[str] = set()
        self.gate = threading.Barrier(1)

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        for key, data in self.files.items():
            etag = f'"{md5(data, usedforsecurity=False).hexdigest()}"'
            yield StoredFile(key, len(data), etag, "image/jpeg", datetime.now(UTC))

    def prepare(self) -> None:
        self.prepared += 1

    def read_promptly(self, key: str) -> memoryview | None:
        self.promptly.append(key)
        if self.gate.parties > 1:
            self.gate.wait(PATIENCE)
        return None if key in self.refuses else memoryview(self.files[key])

    async def get(self, key: str) -> bytes:
        self.carefully.append(key)
        return self.files[key]

    async def stream(self, key: str, **_: Any) -> AsyncGenerator[bytes]:
        yield await self.get(key)


def assert_all_there(shelf: Shelf, folder: Path) -> None:
    assert {key: (folder / key).read_bytes() for key in shelf.files} == shelf.files
    assert {path.name for path in (folder / "photos").iterdir()} == {Path(key).name for key in shelf.files}


async def test_a_few_files_come_all_at_once(tmp_path: Path) -> None:
    """Each waits for the answers of all others, so a thread that had two of them would wait for ever."""
    shelf = Shelf(THREADS)
    shelf.gate = threading.Barrier(THREADS)
    report = await restore_files(shelf, tmp_path)
    assert (report.status, report.copied) == ("success", THREADS)
    assert shelf.prepared == 1
    assert_all_there(shelf, tmp_path)


async def test_many_files_come_in_groups(tmp_path: Path) -> None:
    shelf = Shelf(3 * THREADS * GROUP + 1)
    report = await restore_files(shelf, tmp_path)
    assert report.copied == len(shelf.files) == len(shelf.promptly)
    assert not shelf.carefully
    assert_all_there(shelf, tmp_path)


async def test_one_that_does_not_come_promptly_holds_up_no_other(tmp_path: Path) -> None:
    shelf = Shelf(2 * THREADS * GROUP)
    shelf.refuses = set(list(shelf.files)[::10])
    report = await restore_files(shelf, tmp_path)
    assert (report.status, report.copied) == ("success", len(shelf.files))
    assert sorted(shelf.promptly) == sorted(shelf.files), "each is asked for promptly, once"
    assert set(shelf.carefully) == shelf.refuses
    assert_all_there(shelf, tmp_path)
