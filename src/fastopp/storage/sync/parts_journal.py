"""A journal of the files that a backup sends in parts, so that the next one can abort what a killed one left open.

The journal is a hidden file in the folder, locked by its process. The lock ends with the process, however that ends;
a journal without a lock is of a backup that was killed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from fastopp.errors import FastOppError
from fastopp.storage.base import Storage
from fastopp.storage.disk import TEMPORARY
from fastopp.storage.sync.lock import AVAILABLE, try_lock
from fastopp.storage.threads import run_to_end

_PREFIX = f"{TEMPORARY}parts-"

CLOCKS = timedelta(minutes=15)
"""The most that the clock of an Object Storage may differ from this machine's: beyond it, every request is refused."""

ABANDONED_AFTER = timedelta(hours=24)
"""The age at which an open upload of any program is aborted. No upload of FastOpp's takes as long."""


class PartsJournal:
    """The files that this process is sending in parts.

    Its methods block and raise nothing: without a journal, `files clean` aborts what is a day old.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{_PREFIX}{secrets.token_hex(16)}"
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._descriptor is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)

    def note(self, key: str) -> None:
        """Write down a file before its first part is sent."""
        if not AVAILABLE:  # there, what is older than a day is aborted
            return
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                try_lock(self._descriptor)
                os.write(self._descriptor, f"{datetime.now(UTC).isoformat()}\n".encode())
            os.write(self._descriptor, f"{key}\n".encode())


class _Journal(NamedTuple):
    keys: list[str]
    begun: datetime
    ended: datetime
    """The time at which the last file was begun."""


async def abort_killed(storage: Storage, folder: Path) -> int:
    """Abort the uploads that killed backups of this folder left open; return how many.

    Raises StorageUnavailable, StorageMisconfigured.
    """
    aborted = 0
    for path in await run_to_end(lambda: sorted(folder.glob(f"{_PREFIX}*"))):
        with _left_alone(path) as found:
            if found is None:
                continue
            for key in dict.fromkeys(found.keys):
                aborted += await storage.abort_uploads(key, after=found.begun - CLOCKS, before=found.ended + CLOCKS)
            await run_to_end(partial(path.unlink, missing_ok=True))
    return aborted


async def abort_abandoned(storage: Storage, folder: Path, *, now: datetime) -> int:
    """Abort what `abort_killed` does, and every upload that is open for more than a day; return how many."""
    aborted = await abort_killed(storage, folder)
    return aborted + await storage.abort_uploads(before=now - ABANDONED_AFTER)


async def try_to_abort_killed(storage: Storage, folder: Path) -> None:
    """Abort what killed backups left. It is tried again the next time."""
    with suppress(FastOppError, OSError):
        await abort_killed(storage, folder)


@contextmanager
def _left_alone(path: Path) -> Iterator[_Journal | None]:
    """A journal, locked meanwhile; None while its process lives, or if another one has dealt with it."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield _read(path, os.fstat(descriptor)) if try_lock(descriptor) else None
    finally:
        os.close(descriptor)


def _read(path: Path, status: os.stat_result) -> _Journal | None:
    if not status.st_nlink:
        return None
    ended = datetime.fromtimestamp(status.st_mtime, UTC)
    first, *keys = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    try:
        return _Journal(keys, datetime.fromisoformat(first), ended)
    except ValueError:  # it was killed before it had written anything
        return _Journal([], ended, ended)
