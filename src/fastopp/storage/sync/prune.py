"""Pruning: what one side has and the other has not. Finding and removing it are two steps: between them it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from fastopp.errors import Conflict
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.disk import explained
from fastopp.storage.sync.folder import LocalFile, Unreadable, walk
from fastopp.storage.sync.listing import Listing, pages
from fastopp.storage.threads import run_to_end

AT_ONCE = 32  # files that are removed at the same time


class NothingToCompareWith(Conflict):
    """The source has no files, so everything on the other side would be removed."""

    hint = "If that is what you want, delete the files by hand."


class FolderUnreadable(Conflict):
    """A part of the folder cannot be read, so missing files cannot be determined."""

    hint = "Let this user read the whole folder."


async def surplus_in_storage(storage: Storage, folder: Path) -> Listing:
    """The files of a storage that a folder does not have; the caller closes the listing.

    Raises
    ------
    NothingToCompareWith, FolderUnreadable, and what `Storage.list` does.
    """
    listing = await Listing.of(storage)
    try:
        await run_to_end(_take_all, folder, listing)
    except BaseException:
        listing.close()
        raise
    return listing


async def surplus_in_folder(storage: Storage, folder: Path) -> Listing:
    """The files of a folder that a storage does not have; the caller closes the listing.

    Raises
    ------
    NothingToCompareWith, and what `Storage.list` does.
    """
    listing = Listing()
    try:
        await run_to_end(_add_all, folder, listing)
        await _take_stored(storage, listing)
    except BaseException:
        listing.close()
        raise
    return listing


async def _take_stored(storage: Storage, listing: Listing) -> None:
    found = 0
    async for page in pages(storage, AT_ONCE):
        for file in page:
            listing.take(file.key)
        found += len(page)
    if not found:
        raise NothingToCompareWith


async def remove_files(storage: Storage, keys: Iterable[str]) -> int:
    """Delete files, and return how many. Raises what `Storage.delete` does; what was deleted until then is gone."""
    removed = 0
    remaining = iter(keys)
    while batch := list(islice(remaining, AT_ONCE)):
        async with asyncio.TaskGroup() as tasks:
            for key in batch:
                tasks.create_task(storage.delete(key))
        removed += len(batch)
    return removed


def _take_all(folder: Path, listing: Listing) -> None:
    found = 0
    with explained(folder):
        for file in walk(folder):
            if isinstance(file, LocalFile):
                listing.take(file.key)
                found += 1
            elif isinstance(file, Unreadable):
                raise FolderUnreadable(f"{file.key}: {file.reason}")
    if not found:
        raise NothingToCompareWith


def _add_all(folder: Path, listing: Listing) -> None:
    files = (file for file in walk(folder) if isinstance(file, LocalFile))
    with explained(folder):
        while batch := list(islice(files, AT_ONCE)):
            listing.add([_stored(file) for file in batch])


def _stored(file: LocalFile) -> StoredFile:
    return StoredFile(file.key, file.size, "", "", datetime.fromtimestamp(file.modified, UTC))
