"""A durable storage with a cache of this instance in front of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError
from fastopp.storage.base import FileMissing, OpenedFile, PresignedUpload, Storage, StorageUnavailable, StoredFile
from fastopp.storage.cache.file_cache import Copy, FileCache
from fastopp.storage.cache.fill import Fill
from fastopp.storage.cache.format import Cached
from fastopp.storage.keys import check_key
from fastopp.storage.threads import shielded

logger = logging.getLogger(__name__)

CONFIRM_AFTER = 600.0  # seconds: as long may a cached file be shown that another instance has deleted
CONFIRM_LIMIT = 2.0  # seconds that a reader waits for the durable storage to confirm what is cached
DOWN_FOR = 30.0  # seconds for which it is not asked again when it did not


class TieredStorage(Storage):
    """Writes are durable before `put` returns; reads come from the cache if possible.

    A key never stands for another content, so a cached file is right until it is deleted. What another instance
    deletes is noticed after ten minutes at most: so long is a cached file shown without asking. While the durable
    storage is down, what is cached is shown for as long as it lasts, and writing raises StorageUnavailable.
    """

    def __init__(
        self, cache: FileCache, durable: Storage, *, addresses: tuple[str, ...] = (), clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.cache: FileCache = cache
        self._durable = durable
        self.addresses = addresses
        self._fills: dict[str, Fill] = {}
        self._look_ups: dict[str, asyncio.Task[StoredFile]] = {}
        self._writers: dict[str, tuple[asyncio.Lock, int]] = {}
        self._clock = clock
        self._ask_again_at = 0.0

    def __repr__(self) -> str:
        return f"TieredStorage({self.durable!r} behind {str(self.cache.folder)!r})"

    @property
    def durable(self) -> Storage:
        """See Storage.durable."""
        return self._durable

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str, checksum: str | None = None
    ) -> StoredFile:
        """See Storage.put."""
        check_key(key)
        copy: Copy | None = None
        etag, cached = "", False
        async with self._only_writer_of(key):
            try:
                if isinstance(data, bytes | bytearray | memoryview):
                    stored = await self.durable.put(key, data, content_type=content_type, checksum=checksum)
                    if self.cache.fits(stored.size):
                        copy = await self.cache.begin(stored.size)
                        await copy.write(data)
                else:
                    copy = await self.cache.begin()
                    async with aclosing(_copied(data, copy)) as pieces:
                        stored = await self.durable.put(key, pieces, content_type=content_type, checksum=checksum)
                etag = stored.etag
                await self._stop_fill(key, _REPLACED, unless=etag)
                cached = copy is not None and await copy.publish(key, stored)
                return stored
            finally:
                with shielded():
                    if not cached:  # so that nothing is left there of another content
                        await self._stop_fill(key, _REPLACED, unless=etag)
                        await self.cache.remove(key)
                    if copy is not None:
                        await copy.discard()
                        copy.close()

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See Storage.stream."""
        opened = await self.open(key)
        async with aclosing(opened.stream(start, end)) as pieces:
            async for piece in pieces:
                yield piece

    async def head(self, key: str) -> StoredFile:
        """See Storage.head."""
        opened = await self.open(key)
        opened.close()
        return opened.file

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """See Storage.list."""
        async with aclosing(self.durable.list(prefix)) as files:
            async for file in files:
                yield file

    async def delete(self, key: str) -> None:
        """See Storage.delete."""
        check_key(key)
        async with self._only_writer_of(key):
            await self.durable.delete(key)
            with shielded():
                await self._forget(key)

    def url(self, key: str) -> str:
        """See Storage.url."""
        return self.durable.url(key)

    async def open(self, key: str) -> OpenedFile:
        """Find a file for reading: in the cache, or else in the durable storage. Only reading it downloads it."""
        check_key(key)
        cached = await self.cache.open(key)
        if cached is not None and (cached := await self._confirmed(key, cached)) is not None:
            return cached.opened
        fill = self._fills.get(key)
        file = fill.file if fill else await self._look_up(key)
        return OpenedFile(file, partial(self._read_through, file))

    async def presigned_get(self, key: str, *, expires: timedelta) -> str:
        """See Storage."""
        return await self.durable.presigned_get(key, expires=expires)

    async def presigned_put(self, key: str, *, size: int, content_type: str, expires: timedelta) -> PresignedUpload:
        """See Storage."""
        return await self.durable.presigned_put(key, size=size, content_type=content_type, expires=expires)

    async def copy(self, source: str, target: str, *, etag: str) -> StoredFile:
        """See Storage."""
        return await self.durable.copy(source, target, etag=etag)

    async def sweep(self) -> int:
        """See Storage.sweep."""
        return await self.cache.sweep() + await self.durable.sweep()

    async def aclose(self) -> None:
        """See Storage.aclose."""
        for fill in [*self._fills.values()]:
            await fill.stop(StorageUnavailable("The application stops."))
        if look_ups := [*self._look_ups.values()]:
            for task in look_ups:
                task.cancel()
            await asyncio.wait(look_ups)
        await self.durable.aclose()

    async def _confirmed(self, key: str, cached: Cached) -> Cached | None:
        """Return the cached copy if the durable storage still has the file or is unreachable; otherwise forget it."""
        if abs(self._clock.time() - cached.confirmed) < CONFIRM_AFTER or self._clock.monotonic() < self._ask_again_at:
            return cached
        known = cached.opened.file
        try:
            async with asyncio.timeout(CONFIRM_LIMIT):
                file = await self._look_up(key)
        except FileMissing:
            cached.opened.close()
            await self._forget(key)
            raise
        except (FastOppError, TimeoutError):
            self._ask_again_at = self._clock.monotonic() + DOWN_FOR
            return cached
        except BaseException:
            cached.opened.close()
            raise
        if (file.etag, file.size) == (known.etag, known.size):
            await self.cache.confirm(key)
            return cached
        cached.opened.close()
        await self._stop_fill(key, _REPLACED, unless=file.etag)
        await self.cache.remove(key)
        return None

    async def _look_up(self, key: str) -> StoredFile:
        """Return the durable storage's metadata of a file; requested once for all concurrent callers."""
        task = self._look_ups.get(key)
        if task is None:
            task = self._look_ups[key] = asyncio.create_task(self.durable.head(key))
            task.add_done_callback(partial(self._looked_up, key))
        return await asyncio.shield(task)

    def _looked_up(self, key: str, task: asyncio.Task[StoredFile]) -> None:
        del self._look_ups[key]
        if not task.cancelled():
            task.exception()  # all who wanted to know may have left

    def _read_through(self, file: StoredFile, start: int, end: int) -> AsyncGenerator[bytes]:
        fill = self._fills.get(file.key)
        if fill is None:
            fill = self._fills[file.key] = Fill(file, self.cache, self.durable)
            fill.task.add_done_callback(lambda _: self._fills.pop(file.key))
        elif fill.file.etag != file.etag:  # replaced since, though no key should be
            return self.durable.stream(file.key, start=start, end=end)
        return fill.stream(start, end)

    async def _stop_fill(self, key: str, message: str | None, *, unless: str = "") -> None:
        """End a download, so that it does not get into the cache: of a file replaced (`message`), or deleted (None).

        A file with the ETag `unless` is the same as before.
        """
        fill = self._fills.get(key)
        if fill and fill.file.etag != unless:
            await fill.stop(StorageUnavailable(message) if message else FileMissing())

    async def _forget(self, key: str) -> None:
        await self._stop_fill(key, None)
        await self.cache.remove(key)

    @asynccontextmanager
    async def _only_writer_of(self, key: str) -> AsyncIterator[None]:
        """One writer of a key at a time, so that the cache has what the durable storage has."""
        lock, writers = self._writers.get(key, (asyncio.Lock(), 0))
        self._writers[key] = lock, writers + 1
        try:
            async with lock:
                yield
        finally:
            lock, writers = self._writers[key]
            self._writers[key] = lock, writers - 1
            if writers == 1:
                del self._writers[key]


_REPLACED = "The file was replaced while it was read."


async def _copied(data: AsyncIterable[bytes], copy: Copy) -> AsyncGenerator[bytes]:
    async for piece in data:
        await copy.write(piece)
        yield piece
