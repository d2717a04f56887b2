"""A folder of uploaded files as a backup sees it: every file once, and every file that is none with the reason.

Everything here blocks: it is called in a worker thread.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Generator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from fastopp.errors import FastOppError
from fastopp.storage.checksums import ContentDigest
from fastopp.storage.disk import CACHE_FOLDER, SAFE_OPEN, TEMPORARY
from fastopp.storage.keys import MAX_KEY_BYTES, RESERVED, is_key
from fastopp.storage.sync.report import Remark

CHUNK = 1024 * 1024  # bytes read at a time


class FileChanges(FastOppError):
    """The file changes while it is read."""

    status = 409
    hint = "Run it again when no program writes to the file."


class LocalFile(NamedTuple):
    """A file in the folder, as it was when it was found."""

    key: str
    path: str
    size: int
    modified: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Unreadable(Remark):
    """A file that should be copied and cannot be read."""


def walk(root: Path) -> Generator[LocalFile | Remark]:
    """The files below a folder, and a Remark for what is none. Links are not followed; no folder, no files."""
    yield from _walk(os.path.realpath(root), "")


def count_files(root: Path) -> tuple[int, int]:
    """Return how many files are below a folder, and their bytes."""
    sizes = [file.size for file in walk(root) if isinstance(file, LocalFile)]
    return len(sizes), sum(sizes)


def _walk(folder: str, prefix: str) -> Generator[LocalFile | Remark]:
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Unreadable(prefix or "./", reason_of(error))
        return
    with entries:
        for entry in entries:
            key = f"{prefix}{entry.name}"
            if entry.name.startswith(TEMPORARY) or key == CACHE_FOLDER:  # ours, and no upload
                continue
            if reason := _why_not(entry, key):
                yield Remark(key.encode(errors="backslashreplace").decode(), reason)
            elif entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{key}/")
            else:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # deleted since
                    continue
                yield LocalFile(key, entry.path, status.st_size, status.st_mtime)


def _why_not(entry: os.DirEntry[str], key: str) -> str:
    if entry.is_symlink():
        return "It is a symbolic link."
    if key == RESERVED:
        return "In the Object Storage, dumps of the database have this folder."
    if entry.name.startswith("."):
        return "Its name begins with a dot."
    if not entry.is_dir(follow_symlinks=False) and not entry.is_file(follow_symlinks=False):
        return "It is not a regular file."
    if is_key(key):
        return ""
    try:
        too_long = len(key.encode()) > MAX_KEY_BYTES
    except UnicodeEncodeError:
        return "Its name is not UTF-8."
    if too_long:
        return f"Its name has more than {MAX_KEY_BYTES:,} bytes."
    return "Its name holds a backslash or a control character."


class OpenFile:
    """A file that is read; whether it has changed meanwhile shows in the end."""

    def __init__(self, path: str) -> None:
        self._file = FileIO(os.open(path, os.O_RDONLY | SAFE_OPEN), "rb")
        self._before = os.fstat(self._file.fileno())
        if not stat.S_ISREG(self._before.st_mode):
            self._file.close()
            raise FileNotFoundError(path)
        self.size = self._before.st_size

    def read(self, size: int = -1) -> bytes:
        """The next piece; without a size, all of it."""
        return self._file.read() if size < 0 else self._file.read(size)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def check(self, read: int) -> None:
        """Raises FileChanges unless the file still is what it was when it was opened, and `read` bytes long."""
        after = os.fstat(self._file.fileno())
        if read != self.size or _version(after) != _version(self._before):
            raise FileChanges


def read_file(path: str) -> bytes:
    """All of a small file. Raises FileChanges, OSError."""
    file = OpenFile(path)
    try:
        data = file.read()
        file.check(len(data))
        return data
    finally:
        file.close()


def digest_of(path: str) -> ContentDigest:
    """The checksums of a file, which is read in pieces. Raises FileChanges, OSError."""
    digest = ContentDigest()
    file = OpenFile(path)
    try:
        while piece := file.read(CHUNK):
            digest.update(piece)
        file.check(digest.size)
    finally:
        file.close()
    return digest


def reason_of(error: OSError | FastOppError) -> str:
    """Return a sentence on why something failed; of the operating system's errors without the path."""
    if isinstance(error, FastOppError):
        return str(error)
    if isinstance(error, PermissionError):
        return "It may not be read."
    if isinstance(error, FileNotFoundError):
        return "It is no longer there."
    return f"It cannot be read: {error.strerror or type(error).__name__}."


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
