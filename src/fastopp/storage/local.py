"""Uploaded files in a folder.

Plain system calls in worker threads: obstore's LocalStore neither flushes to the disk nor says which
error of the system it met, it follows symbolic links out of its root, and one 50 KB read of it costs 2.5
times the processor time of ours.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterator
from contextlib import aclosing, suppress
from itertools import islice
from pathlib import Path

from anyio import to_thread

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.base import ChecksumMismatch, FileMissing, OpenedFile, Storage, StoredFile
from fastopp.storage.disk import (
    CHUNK,
    TEMPORARY,
    Incoming,
    described,
    explained,
    locate,
    open_file,
    opened_from_disk,
    write_probe,
)
from fastopp.storage.keys import check_key, folder_of, is_key
from fastopp.storage.threads import run_to_end

LIST_BATCH = 256  # files a thread looks at before it hands over
ABANDONED_AFTER = 3600  # seconds without a write after which a temporary file is abandoned


class LocalStorage(Storage):
    """Files in a folder, which is made when the first one is stored.

    A file is written to a temporary name, flushed to the disk and renamed. Symbolic links below the
    folder are not followed. The content type is what the key's extension says.
    """

    def __init__(self, root: Path, *, addresses: tuple[str, ...] = (), clock: Clock = SYSTEM_CLOCK) -> None:
        self.root = root.absolute()
        self._clock = clock
        self.addresses = addresses

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.root)!r})"

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str, checksum: str | None = None
    ) -> StoredFile:
        """See Storage.put."""
        check_key(key)
        incoming = Incoming(self.root, key, secrets.token_hex(16))
        digest = hashlib.md5(usedforsecurity=False)

        def write(chunk: bytes) -> None:
            if checksum is not None:
                digest.update(chunk)
            incoming.write(chunk)

        def store(rest: bytes) -> StoredFile:
            write(rest)
            if checksum not in (None, digest.hexdigest()):
                raise ChecksumMismatch
            return incoming.store()

        try:
            await run_to_end(incoming.open)
            if isinstance(data, bytes | bytearray | memoryview):
                return await run_to_end(store, data)
            async for chunk in data:
                await run_to_end(write, chunk)
            return await run_to_end(store, b"")
        except BaseException:
            await run_to_end(incoming.discard)
            raise

    async def get(self, key: str) -> bytes:
        """See Storage.get."""
        check_key(key)
        return await to_thread.run_sync(self._read, key)

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See Storage.stream."""
        opened = await self.open(key)
        with explained(self.root):
            async with aclosing(opened.stream(start, end)) as pieces:
                async for piece in pieces:
                    yield piece

    async def head(self, key: str) -> StoredFile:
        """See Storage.head."""
        check_key(key)
        return await asyncio.to_thread(self._head, key)

    async def open(self, key: str) -> OpenedFile:
        """Find a file for reading; a small one is read along, since the way into the thread costs more."""
        check_key(key)
        return await to_thread.run_sync(self._open, key)

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """See Storage.list."""
        folder = folder_of(prefix)
        files = self._walk(folder, prefix)
        try:
            while batch := await run_to_end(_take, files, LIST_BATCH):
                for file in batch:
                    yield file
        finally:
            files.close()

    async def delete(self, key: str) -> None:
        """See Storage.delete."""
        check_key(key)
        await run_to_end(self._delete, key)

    async def check(self) -> None:
        """See Storage.check. Files can be written, too."""
        await asyncio.to_thread(self._check)

    async def sweep(self, *, older_than: float = ABANDONED_AFTER) -> int:
        """Remove what killed processes left half-written, and return how many files that were.

        Parameters
        ----------
        older_than: seconds since the last write to a temporary file; one that is written to stays.
        """
        return await run_to_end(self._sweep, self._clock.time() - older_than)

    # What follows runs in a worker thread.

    def _read(self, key: str) -> bytes:
        with explained(self.root), open_file(self.root, key) as file:
            return file.read()

    def _head(self, key: str) -> StoredFile:
        with explained(self.root):
            status = os.lstat(locate(self.root, key))
            if not stat.S_ISREG(status.st_mode):
                raise FileMissing
            return described(key, status)

    def _open(self, key: str) -> OpenedFile:
        with explained(self.root):
            descriptor = open_file(self.root, key)
            try:
                file = described(key, os.fstat(descriptor.fileno()))
                content = descriptor.read() if file.size <= CHUNK else None
                if content is not None:
                    descriptor.close()
                    file = file._replace(size=len(content))
            except BaseException:
                descriptor.close()
                raise
            return opened_from_disk(file, descriptor, content)

    def _check(self) -> None:
        with explained(self.root, writing=True):
            self.root.mkdir(parents=True, exist_ok=True)
            write_probe(self.root)

    def _delete(self, key: str) -> None:
        with suppress(FileMissing), explained(self.root):
            path = locate(self.root, key)
            if not os.path.isdir(path):  # noqa: PTH112 - see locate
                os.unlink(path)  # noqa: PTH108 - see locate

    def _walk(self, folder: str, prefix: str) -> Generator[StoredFile]:
        with suppress(FileMissing), explained(self.root):
            path = locate(self.root, folder) if folder else os.path.realpath(self.root)
            with os.scandir(path) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if not key.startswith(prefix) or not is_key(key):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(key, prefix)
                    elif entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # deleted since
                            yield described(key, entry.stat(follow_symlinks=False))

    def _sweep(self, before: float) -> int:
        removed = 0
        with explained(self.root):
            for folder, _, names in os.walk(self.root):
                for name in names:
                    path = Path(folder, name)
                    with suppress(FileNotFoundError):  # another process sweeps too, or has just renamed it
                        if name.startswith(TEMPORARY) and path.lstat().st_mtime < before:
                            path.unlink()
                            removed += 1
        return removed


def _take(files: Iterator[StoredFile], count: int) -> list[StoredFile]:
    return list(islice(files, count))
