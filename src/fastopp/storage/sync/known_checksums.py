"""Checksums of files that were read before, so that a backup with nothing to do need not read them again.

They are kept in the user's own folder among the temporary files. All of it may vanish or be damaged at any time:
what is not known is read. A checksum is valid while size, both times and inode are unchanged.
A file that changed just before it was read may change again within the same tick of the file system's clock,
so its checksum is not kept; git calls such files racy: https://git-scm.com/docs/racy-git
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import time
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from fastopp.storage.checksums import etag_matches
from fastopp.storage.sync.folder import FileChanges, digest_of
from fastopp.storage.threads import run_to_end

RACY = 2_000_000_000  # nanoseconds: the coarsest clock of a file system, FAT's
MOST_BYTES = 100_000_000  # of our file, for some 500,000 files; then it is started over
TOGETHER = 500  # rows that are written at once

_FORMAT = 1
_MD5 = re.compile(r"[0-9a-f]{32}")
_MULTIPART = re.compile(r"[0-9a-f]{32}-[0-9]{1,6}")


class Checksums(NamedTuple):
    """Checksums of a content that S3 may report."""

    md5: str
    of_parts: str

    def matches(self, etag: str) -> bool | None:
        """See `ContentDigest.matches`."""
        return etag_matches(etag, self.md5, lambda: self.of_parts)


class KnownChecksums:
    """Checksums by path. Used by one thread at a time, inside `async with`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._new: list[tuple[bytes, str, str, str]] = []

    async def __aenter__(self) -> Self:
        return self  # opened on first use: a restore into an empty folder never needs it

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await run_to_end(self._end)

    def of(self, path: str) -> Checksums:
        """The checksums of a file, which is read unless they are known. Blocks. Raises FileChanges, OSError."""
        before = os.lstat(path)
        version = _version(before)
        if known := self._find(path, version):
            return known
        began = time.time_ns()
        digest = digest_of(path)
        checksums = Checksums(digest.md5, digest.of_parts)
        if _version(os.lstat(path)) != version:
            raise FileChanges
        if began - max(before.st_mtime_ns, before.st_ctime_ns) > RACY:
            self._new.append((os.fsencode(path), version, checksums.md5, checksums.of_parts))
            if len(self._new) >= TOGETHER:
                self._write()
        return checksums

    @cached_property
    def _path(self) -> Path:
        return (self._folder or _own_temporary_folder()) / "checksums.sqlite"

    @cached_property
    def _table(self) -> sqlite3.Connection | None:
        with suppress(OSError, sqlite3.Error):
            if self._is_ours():
                try:
                    return self._open()
                except sqlite3.DatabaseError:  # damaged
                    self._path.unlink(missing_ok=True)
                    return self._open()
        return None

    def _end(self) -> None:
        self._write()
        self._stop()

    def _is_ours(self) -> bool:
        """Return whether no other user can write there: the temporary folder is shared."""
        folder = self._path.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        mine = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o077)
        return stat.S_ISDIR(status.st_mode) and mine

    def _open(self) -> sqlite3.Connection:
        if self._path.exists() and self._path.stat().st_size > MOST_BYTES:
            self._path.unlink()
        table = sqlite3.connect(self._path, timeout=0.1, isolation_level=None, check_same_thread=False)
        try:
            table.execute("PRAGMA synchronous = OFF")
            if table.execute("PRAGMA user_version").fetchone()[0] != _FORMAT:
                table.execute("DROP TABLE IF EXISTS files")
                table.execute("CREATE TABLE files (path BLOB PRIMARY KEY, version, md5, of_parts) WITHOUT ROWID")
                table.execute(f"PRAGMA user_version = {_FORMAT}")
        except sqlite3.Error:
            table.close()
            raise
        return table

    def _find(self, path: str, version: str) -> Checksums | None:
        if self._table is None:
            return None
        try:
            question = "SELECT md5, of_parts FROM files WHERE path = ? AND version = ?"
            row = self._table.execute(question, (os.fsencode(path), version)).fetchone()
        except sqlite3.Error:
            self._stop()
            return None
        if row and all(isinstance(value, str) for value in row):
            md5, of_parts = row
            if _MD5.fullmatch(md5) and _MULTIPART.fullmatch(of_parts):
                return Checksums(md5, of_parts)
        return None

    def _write(self) -> None:
        rows, self._new = self._new, []
        if not rows or self._table is None:
            return
        try:
            self._table.execute("BEGIN IMMEDIATE")
            self._table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
            self._table.execute("COMMIT")
        except sqlite3.Error:  # damaged, or another process writes: those files are read again next time
            self._stop()

    def _stop(self) -> None:
        if table := vars(self).get("_table"):
            table.close()
        self._table = None


def _own_temporary_folder() -> Path:
    import tempfile  # noqa: PLC0415 - 5 ms, and a restore into an empty folder does not need it

    return Path(tempfile.gettempdir(), f"fastopp-{os.getuid() if hasattr(os, 'getuid') else ''}")


def _version(status: os.stat_result) -> str:
    return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
