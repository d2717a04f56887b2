"""A storage that keeps files in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from hashlib import md5

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.base import ChecksumMismatch, FileMissing, Storage, StoredFile
from fastopp.storage.keys import check_key, folder_of

CHUNK = 256 * 1024  # bytes of a piece


class MemoryStorage(Storage):
    """Files in memory, which end with the process."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._files: dict[str, tuple[StoredFile, bytes]] = {}

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str, checksum: str | None = None
    ) -> StoredFile:
        """See Storage.put."""
        check_key(key)
        if isinstance(data, bytes | bytearray | memoryview):
            content = bytes(data)
        else:
            content = b"".join([piece async for piece in data])
        digest = md5(content, usedforsecurity=False).hexdigest()
        if checksum not in (None, digest):
            raise ChecksumMismatch
        file = StoredFile(key, len(content), f'"{digest}"', content_type, self._clock.now())
        self._files[key] = file, content
        return file

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See Storage.stream."""
        _, content = self._find(key)
        wanted = content[start:end]
        for position in range(0, len(wanted), CHUNK):
            yield wanted[position : position + CHUNK]

    async def head(self, key: str) -> StoredFile:
        """See Storage.head."""
        return self._find(key)[0]

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """See Storage.list."""
        folder_of(prefix)
        for key, (file, _) in tuple(self._files.items()):
            if key.startswith(prefix):
                yield file

    async def delete(self, key: str) -> None:
        """See Storage.delete."""
        self._files.pop(check_key(key), None)

    def _find(self, key: str) -> tuple[StoredFile, bytes]:
        try:
            return self._files[check_key(key)]
        except KeyError:
            raise FileMissing from None
