"""The contents of a bucket, counted as they change, and the room that is left."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StorageFull(Exception):
    """The bucket is full. `rule` names the limit that was met."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        super().__init__(rule)


class StorageUse:
    """The files of a folder and their bytes.

    max_bytes, max_files: the quota; 0 is none.
    """

    def __init__(self, folder: Path, *, max_bytes: int, max_files: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.max_files = max_files
        self._sizes: dict[str, int] = {}
        self._coming: list[tuple[str, int]] = []  # on their way in, and counted already
        self._parts: dict[str, int] = {}  # bytes of unfinished uploads

    @property
    def bytes(self) -> int:
        """All sizes together."""
        return sum(self._sizes.values())

    @property
    def files(self) -> int:
        """Number of objects."""
        return len(self._sizes)

    async def count(self) -> None:
        """Look at all files."""
        self._sizes = await asyncio.to_thread(lambda: dict(_files(self.folder)))

    @contextmanager
    def room_for(self, key: str, size: int) -> Iterator[None]:
        """Hold room while an object of this size comes in. Raises `StorageFull`."""
        coming = sum(size for _, size in self._coming) + sum(self._parts.values())
        if self.max_bytes and self.bytes - self._sizes.get(key, 0) + coming + size > self.max_bytes:
            raise StorageFull("storage_quota")
        if self.max_files and len(self._sizes.keys() | {key} | {other for other, _ in self._coming}) > self.max_files:
            raise StorageFull("storage_files")
        self._coming.append((key, size))
        try:
            yield
        finally:
            self._coming.remove((key, size))

    def add(self, key: str, size: int) -> None:
        """An object has come in, perhaps over another one."""
        self._sizes[key] = size

    def add_part(self, upload: str, size: int) -> None:
        """A part of an upload has come in."""
        self._parts[upload] = self._parts.get(upload, 0) + size

    def end_upload(self, upload: str) -> None:
        """A multipart upload was completed or aborted."""
        self._parts.pop(upload, None)

    def remove(self, key: str) -> None:
        """An object was deleted."""
        self._sizes.pop(key, None)


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield prefix + entry.name, entry.stat().st_size
