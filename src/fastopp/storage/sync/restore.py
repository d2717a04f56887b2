"""Restore: what is in the Object Storage and not in a folder, or not with this content, is fetched.

Of a file of the same size the checksum is compared with the listed one. A file that was changed in the folder
after it was stored stays, unless the caller says otherwise. Nothing is deleted.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fastopp.errors import FastOppError
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.disk import explained, locate_new, version_of
from fastopp.storage.keys import check_key
from fastopp.storage.sync.incoming import Arrival, Downloads
from fastopp.storage.sync.known_checksums import KnownChecksums
from fastopp.storage.sync.listing import UnsafeName, UnsafePlace, pages
from fastopp.storage.sync.lock import locked
from fastopp.storage.sync.report import ProgressCallback, Remark, TransferReport
from fastopp.storage.sync.transfer import CONCURRENCY, Transfer
from fastopp.storage.threads import run_to_end

BATCH = 1000  # files that are looked at together: a page of a listing
WAITING = 2  # times as many as are fetched at once may wait for the disk
NEWER = "The one in the folder is newer."


@dataclass(slots=True)
class _Batch:
    """The results of a thread about some stored files."""

    same: int = 0
    fetch: list[tuple[StoredFile, Arrival]] = field(default_factory=list)
    unsure: list[tuple[StoredFile, Arrival, str, bool]] = field(default_factory=list)
    """Of the same size, but another ETag; with the MD5 of the one in the folder, and whether that one is newer."""
    failed: list[tuple[str, FastOppError | OSError]] = field(default_factory=list)
    newer: list[str] = field(default_factory=list)


async def restore_files(
    storage: Storage,
    folder: Path,
    *,
    overwrite: bool = False,
    budget: float | None = None,
    progress: ProgressCallback | None = None,
    concurrency: int = CONCURRENCY,
) -> TransferReport:
    """Bring everything in a storage into a folder, which is made if it is not there.

    Parameters
    ----------
    overwrite: replace files in the folder that are newer, too.
    budget, progress, concurrency: see `backup_files`.

    Raises
    ------
    FolderInUse, StorageUnavailable, StorageMisconfigured: nothing can be done. What concerns one file is in the report.
    """
    folder = folder.absolute()  # noqa: ASYNC240 - asks no disk
    transfer = Transfer(storage, budget=budget, concurrency=concurrency * WAITING, progress=progress)
    with locked(folder), ThreadPoolExecutor(concurrency, "restore") as threads:
        async with transfer.running(), KnownChecksums() as known:
            downloads = Downloads(storage, transfer, concurrency, threads)
            async for files in pages(storage, BATCH, partial(_note, transfer)):
                batch = await run_to_end(_examine, folder, files, known, overwrite)
                transfer.found += len(files)
                for _ in range(batch.same):
                    transfer.succeeded(None)
                for key in batch.newer:
                    transfer.report.leave_out(key, NEWER)
                for key, error in batch.failed:
                    transfer.failed(key, error)
                await downloads.start(batch.fetch)
                for file, arrival, md5, newer in batch.unsure:
                    await downloads.start_if_other(file, arrival, md5, NEWER if newer else "")
                if not transfer.goes_on:
                    break
        await run_to_end(downloads.settle)
    return transfer.conclude("restored")


def _note(transfer: Transfer, remark: Remark) -> None:
    """Report an object that is no file of ours: a failure only if its name leads out of the folder."""
    if isinstance(remark, UnsafePlace):
        transfer.failed(remark.key, UnsafeName())
    else:
        transfer.report.leave_out(remark.key, remark.reason)


def _examine(
    folder: Path,
    files: list[StoredFile],
    known: KnownChecksums,
    overwrite: bool,  # noqa: FBT001 - called by a thread
) -> _Batch:
    batch = _Batch()
    parents: dict[str, str] = {}
    for file in files:
        try:
            with explained(folder):
                arrival = _arrival(folder, file.key, parents)
                _compare(file, arrival, known, overwrite, batch)
        except FastOppError as error:
            batch.failed.append((file.key, error))
    return batch


def _arrival(folder: Path, key: str, parents: dict[str, str]) -> Arrival:
    """Return the destination of a file. Raises InvalidKey.

    Parameters
    ----------
    parents: paths of folders that were looked at for links already.
    """
    parent, _, name = check_key(key).rpartition("/")
    if parent not in parents:
        parents[parent] = locate_new(folder, parent) if parent else str(folder.resolve())
    path = f"{parents[parent]}/{name}"
    return Arrival(folder, key, path, version_of(path))


def _compare(file: StoredFile, arrival: Arrival, known: KnownChecksums, overwrite: bool, batch: _Batch) -> None:  # noqa: FBT001 - see _examine
    """Put a file into the batch where it belongs."""
    version = arrival.version
    if version is None:
        batch.fetch.append((file, arrival))
        return
    newer = not overwrite and version.mtime_ns // 1_000_000_000 > file.modified.timestamp()
    if version.size == file.size:
        checksums = known.of(arrival.path)
        if checksums.matches(file.etag):
            batch.same += 1
        else:  # or an ETag that only looks like an MD5, as where a bucket is encrypted with separate keys
            batch.unsure.append((file, arrival, checksums.md5, newer))
    elif newer:
        batch.newer.append(file.key)
    else:
        batch.fetch.append((file, arrival))
