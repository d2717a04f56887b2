"""A file that has been found and is about to be sent: what is known of it and its bytes, looked up once.

`head` and then `stream` would look it up twice, and another file could take its place in between.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from io import FileIO
from typing import Protocol, runtime_checkable

from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.disk import CHUNK
from fastopp.storage.threads import run_to_end

Stream = Callable[[int, int], AsyncGenerator[bytes]]


class OpenedFile:
    """Close it, or read it once.

    Parameters
    ----------
    stream: gives the bytes from its first argument up to its second.
    content: the whole file, when it is small and was read along.
    """

    def __init__(
        self,
        file: StoredFile,
        stream: Stream,
        *,
        content: bytes | memoryview | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.file = file
        self.content = content
        self._stream = stream
        self._close = close

    async def stream(self, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces. Closes the file in the end."""
        end = self.file.size if end is None else min(end, self.file.size)
        try:
            if self.content is not None:
                if start < end:
                    yield bytes(self.content[start:end])
            else:
                async with aclosing(self._stream(start, end)) as pieces:
                    async for piece in pieces:
                        yield piece
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._close is not None:
            self._close()


@runtime_checkable
class OpeningStorage(Protocol):
    """A storage that finds a file and its bytes in one go."""

    async def open(self, key: str) -> OpenedFile:
        """Find a file for reading. Raises FileMissing."""
        ...


async def open_stored(storage: Storage, key: str) -> OpenedFile:
    """Find a file for reading, in any storage. Raises FileMissing."""
    if isinstance(storage, OpeningStorage):
        return await storage.open(key)
    file = await storage.head(key)
    return OpenedFile(file, lambda start, end: storage.stream(key, start=start, end=end))


def opened_from_disk(file: StoredFile, descriptor: FileIO, content: bytes | memoryview | None) -> OpenedFile:
    """A file on the disk, which stays readable when it is removed meanwhile."""
    return OpenedFile(file, partial(_read_from, descriptor), content=content, close=descriptor.close)


async def _read_from(descriptor: FileIO, start: int, end: int) -> AsyncGenerator[bytes]:
    while start < end:
        piece = await run_to_end(_read_at, descriptor, start, min(CHUNK, end - start))
        if not piece:
            return  # cut short since
        yield piece
        start += len(piece)


def _read_at(descriptor: FileIO, position: int, size: int) -> bytes:
    descriptor.seek(position)
    return descriptor.read(size)
