"""List the cache of uploaded files without using any entry, so that the order of eviction stays the same.

Everything here blocks: it is called in a worker thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from fastopp.storage.cache.format import read_description
from fastopp.storage.checksums import ContentDigest
from fastopp.storage.disk import SAFE_OPEN, TEMPORARY
from fastopp.storage.sync.folder import CHUNK, Unreadable, reason_of


@dataclass(frozen=True, slots=True)
class CachedCopy:
    """A copy of an uploaded file, read to its end."""

    key: str
    digest: ContentDigest


def count_copies(folder: Path) -> tuple[int, int]:
    """The number of files in the folder of a cache, and the bytes that they have there."""
    sizes = [entry.stat(follow_symlinks=False).st_size for entry in _entries(folder)]
    return len(sizes), sum(sizes)


def read_copies(folder: Path) -> Iterator[CachedCopy | Unreadable]:
    """The copies in the folder of a cache. A damaged one counts as absent, as it does for who asks for it."""
    for entry in _entries(folder):
        try:
            copy = _read(entry.path)
        except FileNotFoundError:  # it had to make room
            continue
        except OSError as error:
            yield Unreadable(entry.name, reason_of(error))
            continue
        if copy is not None:
            yield copy


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The files that are no temporary ones. A cache's folder may vanish at any time."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(TEMPORARY) and entry.is_file(follow_symlinks=False):
                yield entry


def _read(path: str) -> CachedCopy | None:
    with FileIO(os.open(path, os.O_RDONLY | SAFE_OPEN), "rb") as file:
        status = os.fstat(file.fileno())
        if (stored := read_description(file)) is None:
            return None
        digest = ContentDigest()
        file.seek(0)
        while piece := file.read(min(CHUNK, stored.size - digest.size)):
            digest.update(piece)
        # The disk may have noted that it was read; the time of access says when it was last read.
        with suppress(OSError):
            os.utime(file.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
    return CachedCopy(stored.key, digest)
