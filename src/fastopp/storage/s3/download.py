"""An object on its way in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from obstore.store import S3Store

from fastopp.storage.s3.calls import call
from fastopp.storage.s3.errors import explained

if TYPE_CHECKING:
    from obstore import BytesStream

CAME_DAMAGED = "The file was damaged on its way from the Object Storage."


class Download:
    """An object on its way in: of the bytes that come, those from `start` up to `end` are wanted."""

    def __init__(
        self, name: str, store: S3Store, etag: str, stream: BytesStream | None, start: int, end: int | None
    ) -> None:
        self.etag = etag
        self._name, self._store = name, store
        self._stream = stream
        self._start, self._end = start, end

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The bytes, in order."""
        position = 0
        while self._stream is not None and (self._end is None or position < self._end):
            try:
                with explained(self._name):
                    piece = await call(self._store, self._stream.__anext__)
            except StopAsyncIteration:
                return
            wanted = piece[max(0, self._start - position) : None if self._end is None else self._end - position]
            position += len(piece)
            if wanted:
                yield wanted
