"""A stored file: its metadata, and the file opened for reading."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime
from typing import NamedTuple

Stream = Callable[[int, int], AsyncGenerator[bytes]]


class StoredFile(NamedTuple):
    """A file in a storage."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """With its quotes, as HTTP sends it. Another content has another one."""
    content_type: str
    modified: datetime
    """The time at which it was stored, in UTC."""


class OpenedFile:
    """A file that was found for reading. Close it, or read it once.

    `head` and then `stream` would look it up twice, and another file could take its place in between.

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
