"""Locks that end with their process, however that ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastopp.errors import Conflict
from fastopp.storage.disk import explained

try:
    import fcntl
except ImportError:  # Windows has none; there is no lock there
    fcntl = None  # type: ignore[assignment] # checked before it is used


AVAILABLE = fcntl is not None


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed. Return False if another process has it, or without locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FolderInUse(Conflict):
    """Another process restores into this folder."""

    hint = "Wait until it is done."


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep the other processes of this machine out; the lock ends with the process. Makes the folder.

    Raises
    ------
    FolderInUse, StorageUnavailable
    """
    with explained(folder, writing=True):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        if descriptor is not None and not try_lock(descriptor):
            raise FolderInUse
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
