"""Files on their way out of a storage into a folder: a temporary name, a flush, a rename.

Small files come in worker threads, each of which takes one after the other from the request to the rename: what a
file costs is then little more than the request. A file that does not come like that at once, and every large one,
takes the careful way, where requests are repeated and can be cancelled.

A flush costs the disk some milliseconds whether it is for one file or for thirty. So a thread that brings files while
one goes on waits, and the next is for all who wait.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import cache, partial
from math import ceil
from pathlib import Path
from threading import Lock

from fastopp.errors import FastOppError
from fastopp.storage.base import ChecksumMismatch, Storage, StoredFile
from fastopp.storage.disk import Incoming, Version, explained, flush_folder, version_of
from fastopp.storage.sync.compare import md5_in
from fastopp.storage.sync.report import LeftOut
from fastopp.storage.sync.transfer import SMALL, Transfer
from fastopp.storage.threads import run_to_end

GROUP = 48  # files at most that a thread fetches before they are flushed together, and reported
THREADS = 12
"""That fetch such groups. Many more would wait for the interpreter rather than for the network: of files of 100 KB from
the same machine, 4 bring a tenth less, and 8 to 16 make no difference. Where an answer takes 20 ms, these bring 600
files a second, and a tenth of a core manages 250."""


class ChangedMeanwhile(LeftOut):
    """The file in the folder changed during the download, and was kept."""


class Arrival(Incoming):
    """A file that has come, or is coming.

    Parameters
    ----------
    path: the destination, from `locate`.
    version: of the file that it is to replace; None: there was none.
    """

    __slots__ = ("version",)

    def __init__(self, root: Path, key: str, path: str, version: Version | None) -> None:
        # The same name each time: what a killed run left is written over by the next one, which holds the lock.
        super().__init__(root, key, hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), path)
        self.path: str = path
        self.version = version


Wanted = tuple[StoredFile, Arrival]


class Downloads:
    """Fetches files and puts them in their places.

    Parameters
    ----------
    concurrency: files that come the careful way at once.
    threads: for all that blocks.
    """

    def __init__(self, storage: Storage, transfer: Transfer, concurrency: int, threads: Executor) -> None:
        self._storage = storage
        # A task, and so begun when its maker waits for something: a listing that is on its way by then.
        self._prepared = transfer.tasks.create_task(run_to_end(storage.prepare, executor=threads))
        self._transfer = transfer
        self._requests = asyncio.Semaphore(concurrency)
        self._groups = asyncio.Semaphore(THREADS)
        self._threads = threads
        self._flushing = Lock()
        self._begun = self._done = 0
        self._touched: set[str] = set()

    async def start(self, files: list[Wanted]) -> None:
        """Begin to fetch files as soon as there is room for them."""
        small: list[Wanted] = []
        for file, arrival in files:
            if file.size <= SMALL:
                small.append((file, arrival))
            else:
                await self._transfer.start(file.key, file.size, partial(self._fetch, file, arrival))
        # Each thread gets as many, so that none is left to work alone.
        rounds = ceil(len(small) / (THREADS * GROUP)) or 1
        size = ceil(len(small) / (THREADS * rounds)) or 1
        for first in range(0, len(small), size):
            await self._transfer.start_work(SMALL, partial(self._fetch_group, small[first : first + size]))

    async def start_if_other(self, file: StoredFile, arrival: Arrival, md5: str, stays: str) -> None:
        """Begin to fetch a file unless the folder's has the same content, for which the stored one has to be read.

        Parameters
        ----------
        stays: why the folder's stays even when it is another; empty: it does not.
        """
        await self._transfer.start(file.key, file.size, partial(self._fetch_if_other, file, arrival, md5, stays))

    async def _fetch_group(self, group: list[Wanted]) -> None:
        while group and self._transfer.goes_on:
            came = await self._fetch_promptly(group)
            if came < len(group) and self._transfer.goes_on:
                file, arrival = group[came]
                await self._transfer.copy(file.key, partial(self._fetch, file, arrival))
            group = group[came + 1 :]

    async def _fetch_promptly(self, group: list[Wanted]) -> int:
        """Fetch files and put them in their places, until one does not come at once: how many came."""
        written: list[Arrival] = []
        try:
            async with self._groups:
                await self._prepared
                await run_to_end(self._bring, group, written, executor=self._threads)
        finally:  # what came before the time was up counts, too; another group comes while this one is flushed
            errors = await run_to_end(self._place, written, executor=self._threads)
            for (file, _), error in zip(group, errors, strict=False):
                if error:
                    self._transfer.failed(file.key, error)
                else:
                    self._transfer.succeeded(file.size)
        return len(written)

    def _bring(self, group: list[Wanted], written: list[Arrival]) -> None:
        """Fetch files, until one does not come at once. Blocks."""
        for file, arrival in group:
            if not self._transfer.goes_on or not self._write_promptly(file, arrival, keep_open=not written):
                break
            written.append(arrival)

    def _write_promptly(self, file: StoredFile, arrival: Arrival, *, keep_open: bool) -> bool:
        data = self._storage.read_promptly(file.key)
        if data is None or len(data) != file.size:
            return False
        try:
            arrival.open()
            arrival.write(data)
            if not keep_open:
                _finish(arrival)
        except (FastOppError, OSError):  # which the careful way will meet again, and report
            arrival.discard()
            return False
        return True

    async def _fetch(self, file: StoredFile, arrival: Arrival) -> int:
        """Fetch a file and put it in its place. Raises ChecksumMismatch when other bytes came than were listed."""
        try:
            async with self._requests:
                await run_to_end(arrival.open, executor=self._threads)
                if file.size <= SMALL:
                    data = await self._storage.get(file.key)
                    _check_size(file, len(data))
                    await run_to_end(arrival.write, data, executor=self._threads)
                else:
                    await self._fetch_pieces(file, arrival)
            (error,) = await run_to_end(self._place, [arrival], executor=self._threads)
        except BaseException:
            await run_to_end(arrival.discard, executor=self._threads)
            raise
        if error:
            raise error
        return file.size

    async def _fetch_pieces(self, file: StoredFile, arrival: Arrival) -> None:
        size = 0
        async for piece in self._storage.stream(file.key):
            await run_to_end(arrival.write, piece, executor=self._threads)
            size += len(piece)
        _check_size(file, size)

    async def _fetch_if_other(self, file: StoredFile, arrival: Arrival, md5: str, stays: str) -> int | None:
        if await md5_in(self._storage, file.key) == md5:
            return None
        if stays:
            raise LeftOut(stays)
        return await self._fetch(file, arrival)

    # What follows runs in worker threads.

    def _place(self, arrivals: list[Arrival]) -> list[FastOppError | OSError | None]:
        """Give files that are written their names, durably after `settle`: what went wrong with each.

        That may be ChangedMeanwhile, InvalidKey, StorageFull, StorageUnavailable; nothing of such a file is left.

        Parameters
        ----------
        arrivals: of the first one the file is still open: it was opened before anything else of them was written, so
            flushing it reports every error since.
        """
        errors: list[FastOppError | OSError | None] = []
        # A name that is given before its content is on the disk could, after a power cut, stand for an empty file.
        try:
            self._flush(arrivals)
        except OSError as error:
            errors = [error] * len(arrivals)
        else:
            errors = [_rename(arrival) for arrival in arrivals]
        for arrival, failure in zip(arrivals, errors, strict=True):
            if failure is None:
                self._touched.update(arrival.touched)
            else:
                arrival.discard()
        return errors

    def settle(self) -> None:
        """Make the new names survive a power failure, including those of an interrupted run. Blocks."""
        for folder in self._touched:
            with suppress(FileNotFoundError):  # removed since
                flush_folder(folder)

    def _flush(self, arrivals: list[Arrival]) -> None:
        """Make what was written to files survive a power cut."""
        for arrival in arrivals[1:]:
            _finish(arrival)
        if arrivals and arrivals[0].descriptor is not None and (syncfs := _syncfs()):
            wanted = self._begun + 1  # the first one that cannot have begun before these files were written
            with self._flushing:
                if self._done < wanted:
                    self._begun += 1
                    syncfs(arrivals[0].descriptor)
                    self._done = self._begun
        for arrival in arrivals[:1]:
            _finish(arrival)


def _check_size(file: StoredFile, size: int) -> None:
    if size != file.size:
        raise ChecksumMismatch(f"It has {file.size:,} bytes in the listing, and {size:,} came.", hint="Try again.")


def _finish(arrival: Arrival) -> None:
    """Close a file, and flush it where that cannot be done for many at once. Raises OSError."""
    arrival.close(flush=_syncfs() is None)


def _rename(arrival: Arrival) -> FastOppError | OSError | None:
    try:
        with explained(arrival.root, writing=True):
            if version_of(arrival.path) != arrival.version:
                raise ChangedMeanwhile
            arrival.rename()
    except (FastOppError, OSError) as error:
        return error
    return None


@cache
def _syncfs() -> Callable[[int], None] | None:
    """Linux's call that flushes a whole file system at once, which Python does not offer; elsewhere None."""
    import ctypes  # noqa: PLC0415 - 3 ms, in which others fetch already

    try:
        function = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError, TypeError):
        return None
    function.argtypes, function.restype = [ctypes.c_int], ctypes.c_int

    def syncfs(descriptor: int) -> None:
        if function(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return syncfs
