"""Verify, wherever the application keeps its files.

Where they live in the Object Storage, that has the one original of each. What is here are copies: those in the cache,
and files that were put or restored into the folder of uploads. A file that has no copy here is no difference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from fastopp.errors import FastOppError
from fastopp.storage.base import FileMissing, Storage
from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.keys import is_reserved
from fastopp.storage.sync.cached_copies import CachedCopy, read_copies
from fastopp.storage.sync.compare import BATCH, compare_folder, md5_in, verify_files
from fastopp.storage.sync.folder import Unreadable, reason_of
from fastopp.storage.sync.listing import Listing
from fastopp.storage.sync.report import Comparison, Progress, ProgressCallback, counted
from fastopp.storage.threads import run_to_end


@dataclass
class CacheComparison(Comparison):
    """The differences between the copies here and the Object Storage, which has the originals."""

    stored: int = 0
    """Files in the Object Storage."""
    cached: int = 0
    """Copies in the cache with the same content."""
    not_cached: int = 0
    """Files without a copy in the cache; no difference."""
    differing_in_cache: list[str] = field(default_factory=list)
    differing_in_cache_count: int = 0
    only_in_cache: list[str] = field(default_factory=list)
    """Copies of what the Object Storage has not: it was deleted there, or by another instance."""
    only_in_cache_count: int = 0

    @property
    def done(self) -> int:
        """Copies looked at so far."""
        in_cache = self.cached + self.differing_in_cache_count + self.only_in_cache_count
        return in_cache + super().done

    @property
    def differences(self) -> int:
        """Copies that have not the content of their original, or could not be read."""
        return self.differing_in_cache_count + self.only_in_cache_count + super().differences

    @property
    def message(self) -> str:
        """A sentence or three for people."""
        counts = (
            (self.differing_in_cache_count, "in the cache differ"),
            (self.only_in_cache_count, "in the cache are no longer in the Object Storage"),
            (self.missing_in_storage_count, "in the folder are not in the Object Storage"),
            (self.differing_count, "in the folder differ"),
            (self.matching, "in the folder match"),
            (self.failed_count, "could not be read"),
        )
        return " ".join(
            [
                f"The Object Storage has {counted(self.stored)}: "
                f"{self.cached:,} with the same content in the cache, {self.not_cached:,} not cached.",
                *(f"{count:,} {verb}." for count, verb in counts if count),
            ]
        )


async def verify_uploads(
    storage: Storage, backup: Storage, folder: Path, *, progress: ProgressCallback | None = None
) -> Comparison:
    """Compare what is here with the Object Storage `backup`, for an application that keeps its files in `storage`.

    Raises
    ------
    StorageUnavailable, StorageMisconfigured: the Object Storage cannot be listed.
    """
    if storage.cache is not None:
        return await verify_cache(storage.durable, storage.cache, folder, progress=progress)
    return await verify_files(backup, folder, progress=progress)


async def verify_cache(
    durable: Storage, cache: FileCache, folder: Path, *, progress: ProgressCallback | None = None
) -> CacheComparison:
    """Compare the cache, and the files in the folder of uploads, with the durable storage by content.

    Raises
    ------
    StorageUnavailable, StorageMisconfigured: it cannot be listed.
    """
    started = time.monotonic()
    result = CacheComparison()
    with await Listing.of(durable, lambda remark: result.leave_out(remark.key, remark.reason)) as listing:
        result.stored = result.not_cached = len(listing)
        copies = read_copies(cache.folder)
        while batch := await run_to_end(_next, copies):
            for copy in batch:
                if isinstance(copy, Unreadable):
                    result.fail(copy.key, copy.reason)
                else:
                    await _compare(durable, copy, listing, result)
            if progress:
                progress(Progress(result.done, result.done, 0))
        await compare_folder(durable, folder, listing, result, progress=progress)
    result.seconds = time.monotonic() - started
    return result


def _next(copies: Iterator[CachedCopy | Unreadable]) -> list[CachedCopy | Unreadable]:
    return list(islice(copies, BATCH))


async def _compare(durable: Storage, copy: CachedCopy, listing: Listing, result: CacheComparison) -> None:
    if is_reserved(copy.key):  # no upload
        return
    result.bytes += copy.digest.size
    listed = await run_to_end(listing.find, copy.key)
    if listed is not None:
        result.not_cached -= 1
    try:
        # What is not listed may have been uploaded since.
        stored = listed or await durable.head(copy.key)
        # An ETag may only look like an MD5, as where a bucket is encrypted with separate keys.
        same = stored.size == copy.digest.size and (
            copy.digest.matches(stored.etag) or await md5_in(durable, copy.key) == copy.digest.md5
        )
    except FileMissing:
        result.note("only_in_cache", copy.key)
    except FastOppError as error:
        result.fail(copy.key, reason_of(error))
    else:
        if listed is None:
            result.stored += 1
        if same:
            result.cached += 1
        else:
            result.note("differing_in_cache", copy.key)
