"""Uploaded files in a folder.

Plain system calls in worker threads: obstore's LocalStore neither flushes to the disk nor says which
error of the system it met, it follows symbolic links out of its root, and one 50 KB read of it costs 2.5
times the processor time of ours.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import time
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from itertools import islice
from pathlib import Path

from anyio import to_thread

from fastopp.storage.base import FileMissing, InvalidKey, StorageFull, StorageUnavailable, StoredFile
from fastopp.storage.keys import check_key, content_type_of, is_key, url_of
from fastopp.storage.threads import run_to_end

logger = logging.getLogger(__name__)

CHUNK = 256 * 1024  # bytes a thread reads before it hands over
LIST_BATCH = 256  # files a thread looks at before it hands over
ABANDONED_AFTER = 3600  # seconds without a write after which a temporary file is nobody's

_TEMPORARY = ".incoming-"  # begins with a dot, so that it is no key: never listed, never served

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP})
# A link or a pipe that was put there a moment ago is neither followed nor waited for; absent on Windows.
_SAFE_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class LocalStorage:
    """Files in a folder, which is made when the first one is stored.

    A file is written to a temporary name, flushed to the disk and renamed. Symbolic links below the
    folder are not followed. The content type is what the key's extension says.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def __repr__(self) -> str:
        return f"LocalStorage({str(self.root)!r})"

    async def put(self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str) -> StoredFile:
        """See Storage.put."""
        check_key(key)
        incoming = _Incoming(self, key)
        try:
            await run_to_end(incoming.open)
            if isinstance(data, bytes | bytearray | memoryview):
                return await run_to_end(incoming.store, data)
            async for chunk in data:
                await run_to_end(incoming.write, chunk)
            return await run_to_end(incoming.store)
        except BaseException:
            await run_to_end(incoming.discard)
            raise

    async def get(self, key: str) -> bytes:
        """See Storage.get."""
        check_key(key)
        return await to_thread.run_sync(self._read, key)

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See Storage.stream."""
        check_key(key)
        reading = _Reading(self, key)
        try:
            piece = await run_to_end(reading.open, start, end)
            while piece:
                yield piece
                piece = await run_to_end(reading.read) if reading.left else b""
        finally:
            reading.close()

    async def head(self, key: str) -> StoredFile:
        """See Storage.head."""
        check_key(key)
        return await to_thread.run_sync(self._head, key)

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """See Storage.list."""
        folder = prefix.rpartition("/")[0]
        if folder or prefix == "/":
            check_key(folder)
        files = self._walk(folder, prefix)
        try:
            while batch := await run_to_end(_take, files, LIST_BATCH):
                for file in batch:
                    yield file
        finally:
            files.close()

    async def delete(self, key: str) -> None:
        """See Storage.delete."""
        check_key(key)
        await run_to_end(self._delete, key)

    def url(self, key: str) -> str:
        """See Storage.url."""
        return url_of(key)

    async def sweep(self, *, older_than: float = ABANDONED_AFTER) -> int:
        """Remove what killed processes left half-written, and return how many files that were.

        Parameters
        ----------
        older_than: seconds since the last write to a temporary file; one that is written to stays.
        """
        return await run_to_end(self._sweep, time.time() - older_than)

    # What follows runs in a worker thread.

    def _locate(self, key: str) -> str:
        """The file's path. Raises FileMissing when a symbolic link lies on the way, so that none is followed."""
        root = os.path.realpath(self.root)
        path = os.path.join(root, *key.split("/"))  # noqa: PTH118 - pathlib would drop what must be compared
        if os.path.realpath(path) != path or os.path.islink(path):  # noqa: PTH114 - a link to itself resolves to itself
            raise FileMissing
        return path

    def _open(self, key: str) -> FileIO:
        file = FileIO(os.open(self._locate(key), os.O_RDONLY | _SAFE_OPEN), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise FileMissing
        return file

    def _read(self, key: str) -> bytes:
        with _explained(self), self._open(key) as file:
            return file.read()

    def _head(self, key: str) -> StoredFile:
        with _explained(self):
            status = os.lstat(self._locate(key))
            if not stat.S_ISREG(status.st_mode):
                raise FileMissing
            return _stored(key, status)

    def _delete(self, key: str) -> None:
        with suppress(FileMissing), _explained(self):
            path = self._locate(key)
            if not os.path.isdir(path):  # noqa: PTH112 - see _locate
                os.unlink(path)  # noqa: PTH108 - see _locate

    def _walk(self, folder: str, prefix: str) -> Generator[StoredFile]:
        with suppress(FileMissing), _explained(self):
            path = self._locate(folder) if folder else os.path.realpath(self.root)
            with os.scandir(path) as entries:
                for entry in entries:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if not key.startswith(prefix) or not is_key(key):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(key, prefix)
                    elif entry.is_file(follow_symlinks=False):
                        with suppress(FileNotFoundError):  # deleted since
                            yield _stored(key, entry.stat(follow_symlinks=False))

    def _sweep(self, before: float) -> int:
        removed = 0
        with _explained(self):
            for folder, _, names in os.walk(self.root):
                for name in names:
                    path = Path(folder, name)
                    with suppress(FileNotFoundError):  # another process sweeps too, or has just renamed it
                        if name.startswith(_TEMPORARY) and path.lstat().st_mtime < before:
                            path.unlink()
                            removed += 1
        return removed


class _Reading:
    """A part of a file on its way out. Its methods run in a worker thread, `close` anywhere."""

    def __init__(self, storage: LocalStorage, key: str) -> None:
        self.storage, self.key = storage, key
        self.file: FileIO | None = None
        self.left = 0

    def open(self, start: int, end: int | None) -> bytes:
        """Open the file and read the first piece."""
        with _explained(self.storage):
            self.file = self.storage._open(self.key)  # noqa: SLF001 - one thing in two classes
            size = os.fstat(self.file.fileno()).st_size
            self.left = max(0, min(size, size if end is None else end) - start)
            self.file.seek(start)
        return self.read()

    def read(self) -> bytes:
        """The next piece; the last one closes the file."""
        assert self.file is not None  # noqa: S101 - opened first
        with _explained(self.storage):
            piece = self.file.read(min(CHUNK, self.left)) if self.left else b""
        self.left -= len(piece)
        if not self.left:
            self.close()
        return piece

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class _Incoming:
    """A file on its way in, under a temporary name beside its place. Its methods run in a worker thread."""

    def __init__(self, storage: LocalStorage, key: str) -> None:
        self.storage, self.key = storage, key
        self.file: FileIO | None = None
        self.new_folders: list[Path] = []

    def open(self) -> None:
        """Make the folders that are missing, and the temporary file."""
        with _explained(self.storage, writing=True):
            try:
                self.path = Path(self.storage._locate(self.key))  # noqa: SLF001 - one thing in two classes
            except FileMissing:
                raise InvalidKey("A symbolic link stands where the file should go.") from None
            folder = self.path.parent
            if not folder.is_dir():
                self.new_folders = [f for f in (folder, *folder.parents) if not f.exists()]
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError):
                    raise InvalidKey("A file stands where the key wants a folder.") from None
            self.temporary = folder / f"{_TEMPORARY}{secrets.token_hex(16)}"
            self.file = FileIO(self.temporary, "xb")

    def write(self, chunk: bytes) -> None:
        """Append to the temporary file."""
        assert self.file is not None  # noqa: S101 - opened first
        with _explained(self.storage, writing=True):
            rest = memoryview(chunk)
            while rest:
                rest = rest[self.file.write(rest) :]

    def store(self, chunk: bytes = b"") -> StoredFile:
        """Write the rest, flush it to the disk, and give the file its name."""
        self.write(chunk)
        assert self.file is not None  # noqa: S101 - opened first
        with _explained(self.storage, writing=True):
            os.fsync(self.file.fileno())
            stored = _stored(self.key, os.fstat(self.file.fileno()))
            self.file.close()
            if self.path.is_dir():
                raise InvalidKey("A folder stands where the file should go.")
            self.temporary.replace(self.path)
            for folder in (self.path.parent, *(new.parent for new in self.new_folders)):
                _flush_folder(folder)
            return stored

    def discard(self) -> None:
        """Leave nothing behind."""
        if self.file is not None:
            with suppress(OSError):
                self.file.close()
            with suppress(OSError):
                self.temporary.unlink()


def _stored(key: str, status: os.stat_result) -> StoredFile:
    # A renamed-in file has an inode of its own, so a change within one tick of the clock shows too.
    etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    modified = datetime.fromtimestamp(status.st_mtime, UTC)
    return StoredFile(key, status.st_size, etag, content_type_of(key), modified)


def _take(files: Iterator[StoredFile], count: int) -> list[StoredFile]:
    return list(islice(files, count))


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _explained(storage: LocalStorage, *, writing: bool = False) -> Iterator[None]:
    """Turn an error of the operating system into one of ours. The log has the path; the answer has not."""
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT and not writing:
            raise FileMissing from None
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidKey("The name is too long for the disk.") from None
        logger.exception("The upload folder %s failed", storage.root)
        if error.errno in _FULL:
            raise StorageFull from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageUnavailable(
                "The folder of uploaded files may not be used.",
                hint="Let the user that runs the server read and write it, or set UPLOAD_DIR to another folder.",
            ) from error
        raise StorageUnavailable from error
