"""Files on a disk: found without following links, read in parts, written so that they are whole or not there.

What is not asynchronous here blocks: it is called in a worker thread.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import stat
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from functools import partial
from io import FileIO
from pathlib import Path
from types import TracebackType

from fastopp.storage.errors import ChecksumMismatch, FileMissing, InvalidKey, StorageFull, StorageUnavailable
from fastopp.storage.keys import content_type_of
from fastopp.storage.stored_file import OpenedFile, StoredFile
from fastopp.storage.threads import run_to_end

logger = logging.getLogger(__name__)

CHUNK = 256 * 1024  # bytes read at a time
CACHE_FOLDER = ".cache"  # below the upload folder; begins with a dot, so that no file in it has a key
PROBE_SIZE = 64 * 1024  # bytes that a disk must have room for
TEMPORARY = ".incoming-"  # begins with a dot, so that it is no key: never listed, never served

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
# A link or a pipe that was put there a moment ago is neither followed nor waited for; absent on Windows.
SAFE_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def locate(root: Path, key: str) -> str:
    """The file's path. Raises FileMissing when a part of it is a symbolic link, so that none is followed."""
    path = os.path.join(os.path.realpath(root), *key.split("/"))  # noqa: PTH118 - pathlib would drop what must be compared
    if os.path.realpath(path) != path or os.path.islink(path):  # noqa: PTH114 - a link to itself resolves to itself
        raise FileMissing
    return path


def open_file(root: Path, key: str) -> FileIO:
    """Open a regular file for reading. Raises FileMissing when it is something else."""
    file = FileIO(os.open(locate(root, key), os.O_RDONLY | SAFE_OPEN), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise FileMissing
    return file


class Reading:
    """A part of a file on its way out. `close` may be called anywhere."""

    def __init__(self, root: Path, key: str) -> None:
        self.root, self.key = root, key
        self.file: FileIO | None = None
        self.left = 0

    def open(self, start: int, end: int | None) -> bytes:
        """Open the file and read the first piece."""
        with explained(self.root):
            self.file = open_file(self.root, self.key)
            size = os.fstat(self.file.fileno()).st_size
            self.left = max(0, min(size, size if end is None else end) - start)
            self.file.seek(start)
        return self.read()

    def read(self) -> bytes:
        """The next piece; the last one closes the file."""
        assert self.file is not None  # noqa: S101 - opened first
        with explained(self.root):
            piece = self.file.read(min(CHUNK, self.left)) if self.left else b""
        self.left -= len(piece)
        if not self.left:
            self.close()
        return piece

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()


class Incoming:
    """A file on its way in, under a temporary name beside its place."""

    def __init__(self, root: Path, key: str, checksum: str | None = None) -> None:
        self.root, self.key = root, key
        self.checksum = checksum
        self.digest = hashlib.md5(usedforsecurity=False)
        self.file: FileIO | None = None
        self.new_folders: list[Path] = []

    def open(self) -> None:
        """Make the folders that are missing, and the temporary file."""
        with explained(self.root, writing=True):
            try:
                self.path = Path(locate(self.root, self.key))
            except FileMissing:
                raise InvalidKey("A symbolic link stands where the file should go.") from None
            folder = self.path.parent
            if not folder.is_dir():
                self.new_folders = [f for f in (folder, *folder.parents) if not f.exists()]
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    raise InvalidKey("A file stands where the key wants a folder.") from None
            self.temporary = folder / f"{TEMPORARY}{secrets.token_hex(16)}"
            self.file = FileIO(self.temporary, "xb")

    def write(self, chunk: bytes) -> None:
        """Append to the temporary file."""
        assert self.file is not None  # noqa: S101 - opened first
        if self.checksum is not None:
            self.digest.update(chunk)
        with explained(self.root, writing=True):
            rest = memoryview(chunk)
            while rest:
                rest = rest[self.file.write(rest) :]

    def store(self, chunk: bytes = b"") -> StoredFile:
        """Write the rest, flush it to the disk, and give the file its name. Raises ChecksumMismatch."""
        self.write(chunk)
        assert self.file is not None  # noqa: S101 - opened first
        if self.checksum not in (None, self.digest.hexdigest()):
            raise ChecksumMismatch
        with explained(self.root, writing=True):
            os.fsync(self.file.fileno())
            stored = described(self.key, os.fstat(self.file.fileno()))
            self.file.close()
            if self.path.is_dir():
                raise InvalidKey("A folder stands where the file should go.")
            self.temporary.replace(self.path)
            for folder in (self.path.parent, *(new.parent for new in self.new_folders)):
                flush_folder(folder)
            return stored

    def discard(self) -> None:
        """Leave nothing behind."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                self.temporary.unlink()


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


def flush_folder(folder: Path) -> None:
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
