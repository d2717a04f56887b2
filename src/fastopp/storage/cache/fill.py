"""One download of a file for everyone who asks for it at the same time, on its way into the cache."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastopp.errors import FastOppError
from fastopp.storage.base import OpenedFile, Storage, StorageUnavailable, StoredFile
from fastopp.storage.cache.file_cache import Copy, FileCache
from fastopp.storage.disk import CHUNK
from fastopp.storage.threads import run_to_end


class Fill:
    """A download that has begun. It goes on when those who wait for it leave.

    The last piece of the file is handed out only when the whole has arrived and was found undamaged. A reader that is
    left when the cache fails, or when the file is too large for it, reads on from the durable storage.
    """

    def __init__(self, file: StoredFile, cache: FileCache, durable: Storage) -> None:
        self.file = file
        self._cache, self._durable = cache, durable
        self._copy: Copy | None = None
        self._readers = 0
        self._error: FastOppError | None = None
        self._ended = False
        self._progress = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def stream(self, start: int, end: int) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end`, as they arrive. Raises what the download raises."""
        self._readers += 1
        try:
            while start < end:
                size = min(CHUNK, end - start, self._ready() - start)
                if size > 0:
                    assert self._copy is not None  # noqa: S101 - something has been written
                    piece = await run_to_end(self._copy.read_at, start, size)
                    start += len(piece)
                    yield piece
                elif self._error:
                    raise self._error
                elif self._ended:
                    break
                else:
                    await self._progress.wait()
        finally:
            self._readers -= 1
            self._let_go()
        if start < end:
            async with aclosing(await self._elsewhere(start, end)) as pieces:
                async for piece in pieces:
                    yield piece

    async def stop(self, reason: FastOppError) -> None:
        """End it at once; nothing of it gets into the cache after this. Who still waits gets `reason`."""
        self._error = self._error or reason
        self.task.cancel()
        await asyncio.wait([self.task])

    def _ready(self) -> int:
        """Return the number of bytes that may be sent: all but the last while the end is not known to be good."""
        arrived = self._copy.size if self._copy else 0
        return arrived if self._ended and not self._error else min(arrived, self.file.size - 1)

    async def _run(self) -> None:
        try:
            if self._cache.fits(self.file.size) and not await self._is_cached():
                await self._download()
        except FastOppError as error:
            self._error = error
        finally:
            self._ended = True
            self._report()
            self._let_go()

    async def _find_cached(self) -> OpenedFile | None:
        cached = await self._cache.open(self.file.key)
        if cached and cached.opened.file.etag != self.file.etag:
            cached.opened.close()
            return None
        return cached.opened if cached else None

    async def _is_cached(self) -> bool:
        """Return whether another download has put it there since it was looked for."""
        if cached := await self._find_cached():
            cached.close()
        return cached is not None

    async def _elsewhere(self, start: int, end: int) -> AsyncGenerator[bytes]:
        if cached := await self._find_cached():
            return cached.stream(start, end)
        return self._durable.stream(self.file.key, start=start, end=end)

    async def _download(self) -> None:
        self._copy = copy = await self._cache.begin(self.file.size)
        try:
            async with aclosing(self._durable.stream(self.file.key)) as pieces:
                async for piece in pieces:
                    await copy.write(piece)
                    if not copy.alive:
                        return
                    self._report()
            if copy.size != self.file.size:
                raise StorageUnavailable("A file came with another size than announced.")
            await copy.publish(self.file.key, self.file)
        finally:
            await copy.discard()

    def _report(self) -> None:
        self._progress.set()
        self._progress = asyncio.Event()

    def _let_go(self) -> None:
        if self._ended and not self._readers and self._copy:
            self._copy.close()
