"""Backup: what is in a folder and not in the Object Storage, or not with this content, is sent there.

One listing shows what exists. Of a file of the same size the checksum is compared with the listed one, so no dates
and no notes about what was sent are trusted, and a run that was interrupted is simply run again. Nothing is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from fastopp.errors import FastOppError
from fastopp.storage.base import ChecksumMismatch, Storage, StoredFile
from fastopp.storage.checksums import PART_SIZE
from fastopp.storage.disk import explained
from fastopp.storage.keys import content_type_of
from fastopp.storage.sync.compare import md5_in
from fastopp.storage.sync.folder import (
    CHUNK,
    FileChanges,
    LocalFile,
    OpenFile,
    Unreadable,
    digest_of,
    read_file,
    walk,
)
from fastopp.storage.sync.known_checksums import KnownChecksums
from fastopp.storage.sync.listing import Listing
from fastopp.storage.sync.parts_journal import PartsJournal, try_to_abort_killed
from fastopp.storage.sync.report import ProgressCallback, Remark, TransferReport
from fastopp.storage.sync.transfer import BATCH_BYTES, BATCH_FILES, CONCURRENCY, SMALL, Transfer
from fastopp.storage.threads import run_to_end

ATTEMPTS = 3  # to read a file that changes meanwhile
PAUSE = 0.2  # seconds between them


@dataclass(slots=True)
class _Batch:
    """The results of a thread about some files."""

    same: int = 0
    send: list[tuple[LocalFile, bytes | None]] = field(default_factory=list)
    """With the content, if it was read."""
    unsure: list[tuple[LocalFile, str]] = field(default_factory=list)
    """Of the same size, but another ETag; with the file's MD5."""
    failed: list[tuple[str, OSError | FastOppError]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def found(self) -> int:
        return self.same + len(self.send) + len(self.unsure) + len(self.failed)


async def backup_files(
    storage: Storage,
    folder: Path,
    *,
    budget: float | None = None,
    progress: ProgressCallback | None = None,
    concurrency: int = CONCURRENCY,
) -> TransferReport:
    """Bring everything in a folder into a storage, under its path for a key. A file there with another content is
    replaced.

    Parameters
    ----------
    budget: seconds after which the run ends with status `partial`; run again, it does the rest.
    progress: called on the event loop after each file.
    concurrency: files on their way at once.

    Raises
    ------
    StorageUnavailable, StorageMisconfigured: nothing can be done. What concerns one file is in the report.
    """
    transfer = Transfer(storage, budget=budget, concurrency=concurrency, progress=progress)
    await try_to_abort_killed(storage, folder)
    async with transfer.running(), KnownChecksums() as known:
        with PartsJournal(folder) as journal, await Listing.of(storage, partial(_note, transfer)) as listing:
            async for batch in _batches(folder, listing, known):
                transfer.found += batch.found
                for remark in batch.remarks:
                    _note(transfer, remark)
                for _ in range(batch.same):
                    transfer.succeeded(None)
                for key, error in batch.failed:
                    transfer.failed(key, error)
                for file, data in batch.send:
                    if file.size > PART_SIZE:
                        await run_to_end(journal.note, file.key)
                    await transfer.start(file.key, file.size, partial(_send, storage, file, data))
                for file, md5 in batch.unsure:
                    if file.size > PART_SIZE:
                        await run_to_end(journal.note, file.key)
                    await transfer.start(file.key, file.size, partial(_send_if_other, storage, file, md5))
                if not transfer.goes_on:
                    break
    return transfer.conclude("backed up")


def _note(transfer: Transfer, remark: Remark) -> None:
    if isinstance(remark, Unreadable):
        transfer.report.fail(remark.key, remark.reason)
    else:
        transfer.report.leave_out(remark.key, remark.reason)


async def _batches(folder: Path, listing: Listing, known: KnownChecksums) -> AsyncGenerator[_Batch]:
    """The folder's files, compared with the listing, some at a time."""
    found = walk(folder)
    while (batch := await run_to_end(_examine, folder, found, listing, known)) is not None:
        yield batch


def _examine(
    folder: Path, found: Iterator[LocalFile | Remark], listing: Listing, known: KnownChecksums
) -> _Batch | None:
    """The next batch; None at the end."""
    batch = _Batch()
    room = BATCH_BYTES
    with explained(folder):
        for file in found:
            if isinstance(file, Remark):
                batch.remarks.append(file)
            else:
                try:
                    room -= _compare(file, listing.find(file.key), known, batch)
                except (FastOppError, OSError) as error:
                    batch.failed.append((file.key, error))
            if room < 0 or batch.found >= BATCH_FILES or len(batch.remarks) >= BATCH_FILES:
                return batch
    return batch if batch.found or batch.remarks else None


def _compare(file: LocalFile, stored: StoredFile | None, known: KnownChecksums, batch: _Batch) -> int:
    """Put a file into the batch where it belongs; returns how many bytes of it are kept."""
    if stored is None or stored.size != file.size:
        data = _read(file) if file.size <= SMALL else None
        batch.send.append((file, data))
        return 0 if data is None else len(data)
    checksums = known.of(file.path)
    if checksums.matches(stored.etag):
        batch.same += 1
    else:  # or an ETag that only looks like an MD5, as where a bucket is encrypted with separate keys
        batch.unsure.append((file, checksums.md5))
    return 0


def _read(file: LocalFile) -> bytes | None:
    """All of a small file; None while it changes, which is looked at again when it is sent."""
    try:
        return read_file(file.path)
    except FileChanges:
        return None


async def _send(storage: Storage, file: LocalFile, data: bytes | None) -> int:
    """Send a file as it is at one moment. Raises FileChanges when there is none."""
    kind = content_type_of(file.key)
    if data is not None:
        return (await storage.put(file.key, data, content_type=kind)).size
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(PAUSE)
        try:
            # Read twice: what is sent in parts can only be refused by a checksum that is known beforehand.
            digest = await run_to_end(digest_of, file.path)
            pieces = _pieces(file.path)
            return (await storage.put(file.key, pieces, content_type=kind, checksum=digest.md5)).size
        except (FileChanges, ChecksumMismatch) as error:
            failure = error
    raise failure


async def _send_if_other(storage: Storage, file: LocalFile, md5: str) -> int | None:
    """Send a file unless the storage's content, which has to be read for that, is the same."""
    if await md5_in(storage, file.key) == md5:
        return None
    return await _send(storage, file, None)


async def _pieces(path: str) -> AsyncGenerator[bytes]:
    file = await run_to_end(OpenFile, path)
    try:
        read = 0
        while piece := await run_to_end(file.read, CHUNK):
            read += len(piece)
            yield piece
        file.check(read)
    finally:
        file.close()
