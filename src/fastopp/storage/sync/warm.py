"""Files brought from the Object Storage to this machine, to where the application looks for them."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from pathlib import Path

from fastopp.storage.base import Storage
from fastopp.storage.cache.file_cache import EVICT_TO, FileCache
from fastopp.storage.sync.listing import pages
from fastopp.storage.sync.report import ProgressCallback, TransferReport
from fastopp.storage.sync.restore import restore_files
from fastopp.storage.sync.transfer import BATCH_FILES, CONCURRENCY, Transfer

NO_ROOM = "The cache has no room for it. It is downloaded on request."


async def bring_files(
    storage: Storage,
    backup: Storage,
    folder: Path,
    *,
    overwrite: bool = False,
    budget: float | None = None,
    progress: ProgressCallback | None = None,
) -> TransferReport:
    """Restore the files of `backup` for an application that keeps its files in `storage`.

    Where that has a cache in front of it, the folder of uploads is not read: the cache is filled.
    The other parameters, and what is raised, are those of `restore_files`.
    """
    if storage.cache is not None:
        return await warm_cache(storage, storage.cache, budget=budget, progress=progress)
    return await restore_files(backup, folder, overwrite=overwrite, budget=budget, progress=progress)


async def warm_cache(
    storage: Storage,
    cache: FileCache,
    *,
    budget: float | None = None,
    progress: ProgressCallback | None = None,
    concurrency: int = CONCURRENCY,
) -> TransferReport:
    """Fetch what the cache has not, until it is full: the first view of a page waits for nothing then.

    Parameters
    ----------
    budget, progress, concurrency: see `backup_files`.

    Raises
    ------
    StorageUnavailable, StorageMisconfigured: nothing can be done. What concerns one file is in the report.
    """
    transfer = Transfer(storage.durable, budget=budget, concurrency=concurrency, progress=progress)
    room = cache.max_bytes * EVICT_TO  # a fuller one makes room, by dropping what was just fetched
    async with transfer.running():
        async for files in pages(storage.durable, BATCH_FILES):
            transfer.found += len(files)
            for file in files:
                if file.size > room or not cache.fits(file.size):
                    transfer.report.leave_out(file.key, NO_ROOM)
                    continue
                room -= file.size
                await transfer.start(file.key, file.size, partial(_fetch, storage, cache, file.key))
            if not transfer.goes_on:
                break
    return transfer.conclude("fetched into the cache")


async def _fetch(storage: Storage, cache: FileCache, key: str) -> int | None:
    """Read a file through the cache: its bytes; None if it was there, or is empty and needs no cache."""
    if cached := await cache.open(key):
        cached.opened.close()
        return None
    size = 0
    async with aclosing(storage.stream(key)) as pieces:
        async for piece in pieces:
            size += len(piece)
    return size or None
