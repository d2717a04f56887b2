"""The format of a cached file: its content, its metadata as JSON, the length of that, a mark.

So one rename puts all of it in place at once, and a file that a crash cut short has no mark and counts as absent.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from datetime import datetime
from io import FileIO

from fastopp.storage.disk import CHUNK, opened_from_disk
from fastopp.storage.stored_file import OpenedFile, StoredFile

OVERHEAD = 256  # bytes beside the content, about
USED_WITHIN = 1_000_000_000  # nanoseconds between two marks of use

_MARK = b"FOP1"
_TAIL = 4096  # bytes read to find what is known: a key has 1,024 at most, each of which JSON makes up to two


@dataclass(frozen=True, slots=True)
class Cached:
    """A file found in the cache. Close `opened`, or read it."""

    opened: OpenedFile
    confirmed: float
    """The time at which it was last known to be right, in seconds since 1970."""


def description(file: StoredFile) -> bytes:
    """Return the bytes that follow the content."""
    known = [file.key, file.size, file.etag, file.content_type, file.modified.isoformat()]
    text = json.dumps(known, ensure_ascii=False).encode()
    return text + len(text).to_bytes(4, "big") + _MARK


def read_entry(file: FileIO, key: str) -> Cached | None:
    """The cached file, marked as used, and read whole if it is small; None when it is damaged or another key's."""
    status = os.fstat(file.fileno())
    begin = 0 if status.st_size <= CHUNK else status.st_size - _TAIL
    file.seek(begin)
    data = file.read()
    stored = _described(data, status.st_size)
    if stored is None or stored.key != key:
        return None
    now = time.time_ns()
    if abs(now - status.st_atime_ns) > USED_WITHIN:
        os.utime(file.fileno(), ns=(now, status.st_mtime_ns))
    content = None if begin else memoryview(data)[: stored.size]
    return Cached(opened_from_disk(stored, file, content), status.st_mtime)


def read_description(file: FileIO) -> StoredFile | None:
    """Return the metadata of a cached file, without counting as a use; None when it is damaged."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _TAIL))
    return _described(file.read(), size)


def _described(data: bytes, size_on_disk: int) -> StoredFile | None:
    """Parse a cached file's metadata from its last bytes, or from all of them."""
    if len(data) < len(_MARK) + 4 or not data.endswith(_MARK):
        return None
    length = int.from_bytes(data[-8:-4], "big")
    try:
        name, size, etag, content_type, modified = json.loads(data[-8 - length : -8])
        stored = StoredFile(name, size, etag, content_type, datetime.fromisoformat(modified))
    except ValueError:
        return None
    return stored if stored.size == size_on_disk - 8 - length else None
