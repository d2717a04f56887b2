"""Verify: what a folder and the Object Storage hold, compared file by file as `rclone check` does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from fastopp.errors import FastOppError
from fastopp.storage.base import Storage
from fastopp.storage.checksums import ContentDigest
from fastopp.storage.disk import explained
from fastopp.storage.sync.folder import LocalFile, Unreadable, digest_of, reason_of, walk
from fastopp.storage.sync.listing import Listing
from fastopp.storage.sync.report import Comparison, Progress, ProgressCallback, Remark
from fastopp.storage.threads import run_to_end

BATCH = 64  # files that a thread compares before it says how far it is


async def md5_in(storage: Storage, key: str) -> str:
    """The MD5 of a stored file, which is read for it. Raises what `Storage.stream` does."""
    digest = ContentDigest()
    async for piece in storage.stream(key):
        await run_to_end(digest.update, piece)
    return digest.md5


async def verify_files(storage: Storage, folder: Path, *, progress: ProgressCallback | None = None) -> Comparison:
    """Compare a folder with a storage by content. Where ETags differ, the stored file is read.

    Raises
    ------
    StorageUnavailable, StorageMisconfigured: the storage cannot be listed.
    """
    started = time.monotonic()
    result = Comparison()
    with await Listing.of(storage, lambda remark: result.leave_out(remark.key, remark.reason)) as listing:
        await compare_folder(storage, folder, listing, result, progress=progress)
        for key in listing.keys():  # noqa: SIM118 - no mapping
            result.note("missing_in_folder", key)
    result.seconds = time.monotonic() - started
    return result


async def compare_folder(
    storage: Storage, folder: Path, listing: Listing, result: Comparison, *, progress: ProgressCallback | None = None
) -> None:
    """Compare the files of a folder with those of a listing, which are taken out of it."""
    found = walk(folder)
    goes_on = True
    while goes_on:
        goes_on, unsure = await run_to_end(_compare, folder, found, listing, result)
        for key, md5 in unsure:
            await _compare_contents(storage, key, md5, result)
        if progress:
            progress(Progress(result.done, result.done, 0))


def _compare(
    folder: Path, found: Iterator[LocalFile | Remark], listing: Listing, result: Comparison
) -> tuple[bool, list[tuple[str, str]]]:
    """Compare the next files: whether there are more, and those (with their MD5) that have to be read to know."""
    unsure: list[tuple[str, str]] = []
    with explained(folder):
        for number, file in enumerate(found, 1):
            if isinstance(file, LocalFile):
                _compare_one(file, listing, result, unsure)
            elif isinstance(file, Unreadable):
                result.fail(file.key, file.reason)
            else:
                result.leave_out(file.key, file.reason)
            if number == BATCH:
                return True, unsure
    return False, unsure


def _compare_one(file: LocalFile, listing: Listing, result: Comparison, unsure: list[tuple[str, str]]) -> None:
    stored = listing.take(file.key)
    result.bytes += file.size
    if stored is None:
        result.note("missing_in_storage", file.key)
        return
    if stored.size != file.size:
        result.note("differing", file.key)
        return
    try:
        digest = digest_of(file.path)
    except (FastOppError, OSError) as error:
        result.fail(file.key, reason_of(error))
        return
    if digest.matches(stored.etag):
        result.matching += 1
    else:  # or an ETag that only looks like an MD5, as where a bucket is encrypted with separate keys
        unsure.append((file.key, digest.md5))


async def _compare_contents(storage: Storage, key: str, md5: str, result: Comparison) -> None:
    try:
        same = await md5_in(storage, key) == md5
    except FastOppError as error:
        result.fail(key, reason_of(error))
        return
    if same:
        result.matching += 1
    else:
        result.note("differing", key)
