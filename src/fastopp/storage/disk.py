"""Files on a disk: found without following links, read in parts, written so that they are whole or not there.

What is not asynchronous here blocks: it is called in a worker thread.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from fastopp.storage.errors import FileMissing, InvalidKey, StorageFull, StorageUnavailable
from fastopp.storage.keys import content_type_of
from fastopp.storage.stored_file import OpenedFile, StoredFile
from fastopp.storage.threads import run_to_end

logger = logging.getLogger(__name__)

LINK_IN_THE_WAY = "A symbolic link stands where the file should go."

CHUNK = 256 * 1024  # bytes read at a time
CACHE_FOLDER = ".cache"  # below the upload folder; begins with a dot, so that no file in it has a key
PROBE_SIZE = 64 * 1024  # bytes that a disk must have room for
TEMPORARY = ".incoming-"  # begins with a dot, so that it is no key: never listed, never served

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# A link or a pipe that was put there a moment ago is neither followed nor waited for; absent on Windows.
SAFE_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def locate(root: Path, key: str) -> str:
    """The file's path. Raises FileMissing when a part of it is a symbolic link, so that none is followed."""
    path = os.path.join(os.path.realpath(root), *key.split("/"))  # noqa: PTH118 - pathlib would drop what must be compared
    if os.path.realpath(path) != path or os.path.islink(path):  # noqa: PTH114 - a link to itself resolves to itself
        raise FileMissing
    return path


def locate_new(root: Path, key: str) -> str:
    """The path at which a file can be stored. Raises InvalidKey."""
    try:
        return locate(root, key)
    except FileMissing:
        raise InvalidKey(LINK_IN_THE_WAY) from None


def open_file(root: Path, key: str) -> FileIO:
    """Open a regular file for reading. Raises FileMissing when it is something else."""
    file = FileIO(os.open(locate(root, key), os.O_RDONLY | SAFE_OPEN), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileMissing
    return file


class Version(NamedTuple):
    """The values that change with a file's content."""

    inode: int
    size: int
    mtime_ns: int


def version_of(path: str) -> Version | None:
    """Return the version of a file; None if there is no file. Raises InvalidKey for a folder or a link."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise InvalidKey("A folder stands where the file should go.")
    if stat.S_ISLNK(status.st_mode):
        raise InvalidKey(LINK_IN_THE_WAY)
    return Version(status.st_ino, status.st_size, status.st_mtime_ns)


class Incoming:
    """A file on its way in, under a temporary name beside its destination.

    Parameters
    ----------
    path: the destination, from `locate`; None to have `open` locate it.
    name: of the temporary file, behind its prefix.
    """

    __slots__ = ("descriptor", "key", "name", "path", "root", "temporary", "touched")

    def __init__(self, root: Path, key: str, name: str, path: str | None = None) -> None:
        self.root, self.key, self.name = root, key, name
        self.path = path
        self.temporary = ""
        self.descriptor: int | None = None
        """Of the temporary file, while it is open."""
        self.touched: tuple[str, ...] = ()
        """Folders in which something was made."""

    def open(self) -> None:
        """Make the temporary file, and the folders that are missing. Raises InvalidKey, StorageFull."""
        with explained(self.root, writing=True):
            if self.path is None:
                self.path = locate_new(self.root, self.key)
            folder = os.path.dirname(self.path)  # noqa: PTH120 - pathlib takes five times as long, for each file
            self.touched = (folder,)
            self.temporary = f"{folder}/{TEMPORARY}{self.name}"
            try:
                self.descriptor = os.open(self.temporary, _WRITE, 0o666)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                self.touched += _make_folders(Path(folder))
                self.descriptor = os.open(self.temporary, _WRITE, 0o666)

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises StorageFull."""
        assert self.descriptor is not None  # noqa: S101 - opened first
        with explained(self.root, writing=True):
            written = os.write(self.descriptor, data) if data else 0
            while written < len(data):
                written += os.write(self.descriptor, memoryview(data)[written:])

    def close(self, *, flush: bool) -> None:
        """Close the temporary file, after its content is on the disk if `flush`. Raises OSError."""
        descriptor, self.descriptor = self.descriptor, None
        if descriptor is not None:
            try:
                if flush:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self) -> None:
        """Give the file, which is flushed, its name."""
        assert self.path is not None  # noqa: S101 - opened first
        with explained(self.root, writing=True):
            os.replace(self.temporary, self.path)  # noqa: PTH105 - a text already

    def store(self) -> StoredFile:
        """Flush the file to the disk, and give it its name, durably. Raises InvalidKey."""
        assert self.descriptor is not None  # noqa: S101 - opened first
        assert self.path is not None  # noqa: S101 - opened first
        with explained(self.root, writing=True):
            os.fsync(self.descriptor)
            stored = described(self.key, os.fstat(self.descriptor))
            self.close(flush=False)
            version_of(self.path)
            self.rename()
            for folder in self.touched:
                flush_folder(folder)
            return stored

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self.close(flush=False)
        if self.temporary:
            with suppress(OSError):
                os.unlink(self.temporary)  # noqa: PTH108 - a text already


def _make_folders(folder: Path) -> tuple[str, ...]:
    """Make a folder and those above it. Return the folders in which that made something."""
    touched = tuple(str(above.parent) for above in (folder, *folder.parents) if not above.exists())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InvalidKey("A file stands where the key wants a folder.") from None
    return touched


def described(key: str, status: os.stat_result) -> StoredFile:
    """Return the system's metadata of a file, as ours."""
    # A renamed-in file has a new inode, so a change within one tick of the clock shows too.
    etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredFile(key, status.st_size, etag, content_type_of(key), modified)


def opened_from_disk(file: StoredFile, descriptor: FileIO, content: bytes | memoryview | None) -> OpenedFile:
    """A file on the disk, which stays readable when it is removed meanwhile."""
    return OpenedFile(file, partial(_read_from, descriptor), content=content, close=descriptor.close)


async def _read_from(descriptor: FileIO, start: int, end: int) -> AsyncGenerator[bytes]:
    while start < end:
        piece = await run_to_end(_read_at, descriptor, start, min(CHUNK, end - start))
        if not piece:
            return  # cut short since
        yield piece
        start += len(piece)


def _read_at(descriptor: FileIO, position: int, size: int) -> bytes:
    descriptor.seek(position)
    return descriptor.read(size)


def write_probe(folder: Path) -> None:
    """Write some bytes into a folder, under no name. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(PROBE_SIZE))


def flush_folder(folder: str) -> None:
    """Make a rename survive a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def explained(root: Path, *, writing: bool = False) -> AbstractContextManager[None]:
    """Turn an error of the operating system into one of ours. The log has the path; the answer has not."""
    return _Explained(root, writing=writing)


class _Explained(AbstractContextManager[None]):
    # A class: a generator takes several times as long, for each file.
    __slots__ = ("_root", "_writing")

    def __init__(self, root: Path, *, writing: bool) -> None:
        self._root, self._writing = root, writing

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in _ABSENT and not self._writing:
            raise FileMissing from None
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidKey("The name is too long for the disk.") from None
        known = error.errno in FULL | _FORBIDDEN  # the system's sentence says all
        logger.log(logging.ERROR, "The upload folder %s failed: %s", self._root, error, exc_info=not known)
        if error.errno in FULL:
            raise StorageFull from error
        if error.errno in _FORBIDDEN:
            raise StorageUnavailable(
                "The folder of uploaded files may not be used.",
                hint="Let the user that runs the server read and write it, or set UPLOAD_DIR to another folder.",
            ) from error
        raise StorageUnavailable from error
