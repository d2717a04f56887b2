"""Files that come back into a folder: a temporary name, a flush, a rename; many of them with one flush.

A flush costs the disk some milliseconds whether it is for one file or for thirty. So a task that brings a file while
one goes on waits, and the next is for all who wait. Everything here blocks: it is called in a worker thread.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from fastopp.errors import FastOppError
from fastopp.storage.base import InvalidKey
from fastopp.storage.disk import TEMPORARY, explained, flush_folder
from fastopp.storage.sync.report import LeftOut

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class ChangedMeanwhile(LeftOut):
    """The file in the folder changed during the download, and was kept."""


class Version(NamedTuple):
    """The values that change with a file's content."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Arrival:
    """A file that has come, or is coming, under its temporary name."""

    root: Path
    key: str
    path: str
    """Where it goes, from `locate`."""
    version: Version | None
    """Of the file that it is to replace; None: there was none."""
    temporary: str = ""
    descriptor: int | None = None
    """Of the temporary file, while it is open."""
    touched: tuple[str, ...] = ()
    """Folders in which something was made."""

    def open(self) -> None:
        """Make the temporary file, and the folders that are missing. Raises InvalidKey, StorageFull."""
        with explained(self.root, writing=True):
            self._open()

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises StorageFull."""
        with explained(self.root, writing=True):
            self._write(data)

    def write_whole(self, data: bytes | memoryview, *, keep_open: bool) -> None:
        """Make the temporary file with this content. Raises InvalidKey, StorageFull."""
        with explained(self.root, writing=True):
            self._open()
            self._write(data)
            if not keep_open:
                self.finish()

    def finish(self) -> None:
        """Let go of the file, and flush it where that cannot be done for many at once. Raises OSError."""
        if self.descriptor is not None:
            if _syncfs() is None:
                os.fsync(self.descriptor)
            self._close()

    def _open(self) -> None:
        folder = os.path.dirname(self.path)  # noqa: PTH120 - pathlib takes five times as long, for each file
        self.touched = (folder,)
        # The same name each time: what a killed run left is written over by the next one, which holds the lock.
        name = hashlib.md5(self.key.encode(), usedforsecurity=False).hexdigest()
        self.temporary = f"{folder}/{TEMPORARY}{name}"
        try:
            self.descriptor = os.open(self.temporary, _WRITE, 0o666)
        except (FileNotFoundError, NotADirectoryError):
            self.touched += _make_folders(Path(folder))
            self.descriptor = os.open(self.temporary, _WRITE, 0o666)

    def _write(self, data: bytes | memoryview) -> None:
        assert self.descriptor is not None  # noqa: S101 - opened first
        written = os.write(self.descriptor, data)
        while written < len(data):
            written += os.write(self.descriptor, memoryview(data)[written:])

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def rename(self) -> None:
        """Give the file, which is flushed, its name. Raises ChangedMeanwhile, InvalidKey."""
        with explained(self.root, writing=True):
            if version_of(self.path) != self.version:
                raise ChangedMeanwhile
            os.replace(self.temporary, self.path)  # noqa: PTH105 - a text already

    def discard(self) -> None:
        """Leave nothing behind."""
        self._close()
        if self.temporary:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(self.temporary)  # noqa: PTH108 - a text already


def version_of(path: str) -> Version | None:
    """Return the version of a file; None if there is no file. Raises InvalidKey for a folder or a link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidKey("A folder stands where the file should go.")
    if stat.S_ISLNK(status.st_mode):
        raise InvalidKey("A symbolic link stands where the file should go.")
    return Version(status.st_ino, status.st_size, status.st_mtime_ns)


def _make_folders(folder: Path) -> tuple[str, ...]:
    """Make a folder and those above it; the folders in which that made something."""
    touched = tuple(str(above.parent) for above in (folder, *folder.parents) if not above.exists())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidKey("A file stands where the key wants a folder.") from None
    return touched


class Arrivals:
    """Puts files in their places: threads write them, and one flush is for all that wait for one. Blocks."""

    def __init__(self) -> None:
        self._flushing = Lock()
        self._begun = self._done = 0
        self._touched: set[str] = set()

    def place(self, arrivals: list[Arrival]) -> list[FastOppError | OSError | None]:
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
        """Make the new names survive a power failure, including those of an interrupted run."""
        touched, self._touched = self._touched, set()
        for folder in touched:
            with suppress(FileNotFoundError):  # removed since
                flush_folder(Path(folder))

    def _flush(self, arrivals: list[Arrival]) -> None:
        """Make what was written to files survive a power cut."""
        for arrival in arrivals[1:]:
            arrival.finish()
        if arrivals and arrivals[0].descriptor is not None and (syncfs := _syncfs()):
            wanted = self._begun + 1  # the first one that cannot have begun before these files were written
            with self._flushing:
                if self._done < wanted:
                    self._begun += 1
                    syncfs(arrivals[0].descriptor)
                    self._done = self._begun
        for arrival in arrivals[:1]:
            arrival.finish()


def _rename(arrival: Arrival) -> FastOppError | OSError | None:
    try:
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
