"""A bounded cache of files in a folder, which may vanish at any time, the folder itself included.

Nothing is flushed to the disk: what a power cut takes is fetched again. A file's name is a hash of the key: any key
of any length fits, and one that is another's folder does too.

The time of access says when a file was last used, and the time of modification when it was last known to be right;
both are written by us, so that they hold for every process that shares the folder and after a restart.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from contextlib import suppress
from io import FileIO
from pathlib import Path
from stat import S_ISREG

from anyio import to_thread

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.cache.format import OVERHEAD, Cached, description, read_entry
from fastopp.storage.disk import FULL, TEMPORARY
from fastopp.storage.stored_file import StoredFile
from fastopp.storage.threads import run_to_end

logger = logging.getLogger(__name__)

LARGEST_SHARE = 2  # a file over a half of the cache would push out too much for one
EVICT_TO = 7 / 8  # of the limit, so that not every file costs a look at the folder
LOOK_AFTER = 1 / 16  # of the limit, stored by this process: others store too
ABANDONED_AFTER = 3600  # seconds without a write after which a temporary file is abandoned


class FileCache:
    """The least recently used file goes first. No failure of the disk is raised: the cache does less then.

    Parameters
    ----------
    folder: the cache's own; everything in it may be removed.
    max_bytes: the most that all files have together. With several processes on one folder each may be a sixteenth
        over it for a moment.
    """

    def __init__(self, folder: Path, max_bytes: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.folder = folder.absolute()
        self.max_bytes = max_bytes
        self._clock = clock
        self._stored = 0  # bytes since the last look at the folder
        self._total: int | None = None  # bytes in it, as far as this process knows
        self._failing = False

    def fits(self, size: int) -> bool:
        """Return whether a file of so many bytes is kept."""
        return size <= self.max_bytes / LARGEST_SHARE

    async def open(self, key: str) -> Cached | None:
        """The file, marked as used, if it is there."""
        return await to_thread.run_sync(self._open, key)

    async def begin(self, size: int = 0) -> Copy:
        """Make room for a file of so many bytes, if that is known, and begin to write it."""
        copy = Copy(self)
        await run_to_end(copy.begin, size)
        return copy

    async def confirm(self, key: str) -> None:
        """Note that the file is right as of now."""
        await run_to_end(self._confirm, key)

    async def remove(self, key: str) -> None:
        """Forget the file. Current readers continue."""
        await run_to_end(self._remove, key)

    async def sweep(self) -> int:
        """Remove what is too much, and what killed processes left half-written: how many files that were."""
        return await run_to_end(self.make_room, 0)

    # What follows runs in worker threads.

    def path(self, key: str) -> Path:
        """Return the path of a file."""
        return self.folder / hashlib.sha256(key.encode()).hexdigest()[:40]

    def _open(self, key: str) -> Cached | None:
        path = self.path(key)
        try:
            file = FileIO(path, "rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            self.failed(error)
            return None
        try:
            found = read_entry(file, key)
            if found is None:
                path.unlink(missing_ok=True)
        except OSError as error:
            self.failed(error)
            found = None
        except BaseException:
            file.close()
            raise
        if found is None or found.opened.content is not None:
            file.close()
        return found

    def _confirm(self, key: str) -> None:
        now = self._clock.time()
        with suppress(OSError):
            os.utime(self.path(key), (now, now))

    def _remove(self, key: str) -> None:
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            self.failed(error)

    def make_room(self, size: int, *, at_most: float | None = None) -> int:
        """Remove the least recently used files until so many bytes fit in; returns how many files went.

        Parameters
        ----------
        at_most: the share of what is there that may stay, in place of the limit.
        """
        self._stored += size
        if size and self._total is not None and self._stored < self.max_bytes * LOOK_AFTER:
            self._total += size
            if self._total <= self.max_bytes:
                return 0
        removed, total = 0, size
        kept: list[tuple[float, int, str]] = []
        abandoned = self._clock.time() - ABANDONED_AFTER
        with suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if not S_ISREG(status.st_mode):
                        continue
                    if not entry.name.startswith(TEMPORARY):
                        kept.append((status.st_atime, status.st_size, entry.path))
                    elif status.st_mtime < abandoned:
                        Path(entry.path).unlink()
                        removed += 1
                        continue
                    total += status.st_size
        goal = self.max_bytes * EVICT_TO if total > self.max_bytes else total
        if at_most is not None:
            goal = min(goal, total * at_most)
        for _, used, path in sorted(kept):
            if total <= goal:
                break
            with suppress(OSError):
                Path(path).unlink(missing_ok=True)
                removed += 1
                total -= used
        self._stored, self._total = 0, total
        return removed

    def failed(self, error: OSError) -> None:
        """Say, once until it works again, that the disk does not do what it should."""
        if not self._failing:
            self._failing = True
            logger.warning("The cache of uploaded files in %s does not work", self.folder, exc_info=error)

    def worked(self) -> None:
        """Note that a file was stored."""
        self._failing = False


class Copy:
    """A file on its way into the cache. Its methods, `read_at` excepted, raise nothing the disk says.

    Written data can be read immediately, and also after it was named or discarded.
    """

    def __init__(self, cache: FileCache) -> None:
        self.cache = cache
        self.size = 0
        self.alive = False
        """Whether it may still become a cached file."""
        self.file: FileIO | None = None
        self._temporary = cache.folder / f"{TEMPORARY}{secrets.token_hex(16)}"
        self._foreseen = 0

    async def write(self, piece: bytes | memoryview) -> None:
        """Append, while it is alive."""
        if self.alive:
            await run_to_end(self.append, piece)

    async def publish(self, key: str, file: StoredFile) -> bool:
        """Put it in its place, if it is alive and as large as `file` says: whether it is there now."""
        return await run_to_end(self._publish, file._replace(key=key))

    async def discard(self) -> None:
        """Give it up unless it was published; nothing is left of it once `close` was called."""
        await run_to_end(self._discard)

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()

    # What follows runs in worker threads.

    def begin(self, size: int) -> None:
        """Make room and open the temporary file."""
        self._foreseen = size
        try:
            self.cache.make_room(size + OVERHEAD)
            try:
                self.file = FileIO(self._temporary, "x+b")
            except FileNotFoundError:
                self.cache.folder.mkdir(parents=True, exist_ok=True)
                self.file = FileIO(self._temporary, "x+b")
        except OSError as error:
            self.cache.failed(error)
        else:
            self.alive = True

    def append(self, piece: bytes | memoryview) -> None:
        """Write a piece."""
        assert self.file is not None  # noqa: S101 - alive
        if not self.cache.fits(self.size + len(piece)):
            self._discard()
            return
        try:
            rest = memoryview(piece)
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.cache.failed(error)
            self._discard()
            if error.errno in FULL:  # the disk is smaller than the limit, or others fill it
                self.cache.make_room(0, at_most=1 / 2)
        else:
            self.size += len(piece)

    def read_at(self, position: int, size: int) -> bytes:
        """Some of what was written. Raises OSError."""
        assert self.file is not None  # noqa: S101 - written to
        return os.pread(self.file.fileno(), size, position)

    def _publish(self, file: StoredFile) -> bool:
        if not self.alive or self.size != file.size:
            self._discard()
            return False
        assert self.file is not None  # noqa: S101 - alive
        try:
            self.file.write(description(file))
            self._temporary.replace(self.cache.path(file.key))
        except OSError as error:
            if not isinstance(error, FileNotFoundError):  # which is that the folder has vanished, as it may
                self.cache.failed(error)
            self._discard()
            return False
        self.alive = False
        self.cache.worked()
        if self.size > self._foreseen:
            self.cache.make_room(self.size - self._foreseen)
        return True

    def _discard(self) -> None:
        if self.alive:
            self.alive = False
            with suppress(OSError):
                self._temporary.unlink()
