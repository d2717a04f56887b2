"""A listing of a storage that takes no more memory for 100,000 files than for 1,000.

S3 lists its files in the order of their names, but not every S3 service does, and neither does
a folder. So the two sides are not merged: one of them goes into a table in a temporary file, which is
gone with the process, however that ends.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from fastopp.storage import deadlines
from fastopp.storage.base import InvalidKey, Storage, StoredFile
from fastopp.storage.keys import MAX_KEY_BYTES, content_type_of, is_reserved
from fastopp.storage.sync.report import Remark
from fastopp.storage.threads import run_to_end

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

BATCH = 1000
CACHE = 4096  # KiB that SQLite keeps in memory before it writes to the file

_COLUMNS = "key, size, etag, modified"


@dataclass(frozen=True, slots=True)
class UnsafePlace(Remark):
    """An object that no restore can put anywhere."""


class UnsafeName(InvalidKey):
    """Its name leads out of the folder, or has an empty part."""

    hint = "Delete that object at your Object Storage's own pages; no file of ours has such a name."


def remark_on(name: str) -> Remark:
    """Return why an object of that name is no file of ours; an UnsafePlace if its name is no path."""
    shown = name.encode(errors="backslashreplace").decode()
    if any(part in ("", ".", "..") for part in name.split("/")):
        return UnsafePlace(shown, UnsafeName().message)
    if _CONTROL.search(name):
        return Remark(shown, "Its name holds a control character.")
    if "\\" in name:
        return Remark(shown, "Its name holds a backslash.")
    if name.startswith(".") or "/." in name:
        return Remark(shown, "Its name begins with a dot.")
    return Remark(shown, f"Its name is not UTF-8, or has more than {MAX_KEY_BYTES:,} bytes.")


async def pages(
    storage: Storage, size: int, refused: Callable[[Remark], None] | None = None
) -> AsyncGenerator[list[StoredFile]]:
    """The uploaded files of a storage, so many at a time. Raises what `Storage.list` does.

    Parameters
    ----------
    refused: called once for each object whose name is no key.
    """
    told: set[str] = set()

    def tell(name: str) -> None:
        if refused and name not in told and not is_reserved(name):
            told.add(name)
            refused(remark_on(name))

    found = storage.pages(refused=tell)
    while True:
        async with deadlines.within(deadlines.DEAD):
            page = await anext(found, None)
        if page is None:
            return
        files = [file for file in page if not is_reserved(file.key)]
        for first in range(0, len(files), size):
            yield files[first : first + size]


class Listing:
    """The files of a storage, to be taken out one by one. Used by one thread at a time."""

    def __init__(self) -> None:
        # An empty name: a temporary file that only this connection sees, deleted when it is closed.
        self._table = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._table.execute(f"PRAGMA cache_size = -{CACHE}")
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("CREATE TABLE files (key TEXT PRIMARY KEY, size, etag, modified) WITHOUT ROWID")

    @classmethod
    async def of(cls, storage: Storage, refused: Callable[[Remark], None] | None = None) -> Listing:
        """The files of a storage. See `pages`."""
        listing = cls()
        try:
            async for page in pages(storage, BATCH, refused):
                await run_to_end(listing.add, page)
        except BaseException:
            listing.close()
            raise
        return listing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Drop the table and its file."""
        self._table.close()

    def add(self, files: list[StoredFile]) -> None:
        """Put files in."""
        rows = [(file.key, file.size, file.etag, file.modified.timestamp()) for file in files]
        self._table.execute("BEGIN")
        self._table.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
        self._table.execute("COMMIT")

    def take(self, key: str) -> StoredFile | None:
        """Take a file out; None if it is not there."""
        with closing(self._table.execute(f"DELETE FROM files WHERE key = ? RETURNING {_COLUMNS}", (key,))) as rows:  # noqa: S608 - a constant
            row = next(iter(rows.fetchall()), None)
        return _file(*row) if row else None

    def find(self, key: str) -> StoredFile | None:
        """Look at a file; None if it is not there."""
        with closing(self._table.execute(f"SELECT {_COLUMNS} FROM files WHERE key = ?", (key,))) as rows:  # noqa: S608 - a constant
            row = next(iter(rows.fetchall()), None)
        return _file(*row) if row else None

    def keys(self) -> Iterator[str]:
        """The keys of what was not taken out, in order."""
        with closing(self._table.execute("SELECT key FROM files ORDER BY key")) as rows:
            for (key,) in rows:
                yield key

    def __len__(self) -> int:
        count: int = self._table.execute("SELECT count(*) FROM files").fetchone()[0]
        return count


def _file(key: str, size: int, etag: str, modified: float) -> StoredFile:
    return StoredFile(key, size, etag, content_type_of(key), datetime.fromtimestamp(modified, UTC))
