"""The public address of a bucket: everyone may read everything, and for a while sees what was there before.

Users report twelve hours (LeapCell has no page on it), so an application must never overwrite what it has shown: a new
content gets a new key.
"""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from leapcell_emulator.services.notices import Notices


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as it was when it was requested."""

    path: Path
    taken: float
    """The time of it, by the monotonic clock."""
    version: tuple[int, int]
    """Time of change in ns, and size, of the original."""


class Cdn:
    """Answers GET and HEAD for `/<bucket>/<key>`.

    Parameters
    ----------
    root: the folder of buckets.
    folder: for the copies.
    ttl: seconds that a copy is shown for; 0: none is made.
    """

    def __init__(self, root: Path, folder: Path, *, ttl: float, notices: Notices) -> None:
        self.root = root
        self.folder = folder
        self.ttl = ttl
        self.notices = notices
        self.hits = 0
        self.misses = 0
        self._copies: dict[str, Copy] = {}

    def forget(self) -> None:
        """Fetch every file again on its next request."""
        self._copies.clear()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        key = unquote(request.rel_url.raw_path.lstrip("/"))
        original = await asyncio.to_thread(self._find, key)
        copy = self._copies.get(key)
        hit = copy is not None and time.monotonic() - copy.taken < self.ttl
        if not copy or not hit:
            if not original:
                return web.Response(status=404, text="Not found")
            copy = self._copies[key] = await asyncio.to_thread(self._take, key, original)
            self.misses += 1
        else:
            self.hits += 1
            if original is None or copy.version != _version(original):
                self.notices.tell("cdn_ttl", f"/{key} has changed since")
        headers = {
            "Content-Type": mimetypes.guess_type(key)[0] or "application/octet-stream",
            "Cache-Control": f"public, max-age={int(self.ttl)}",
            "Age": str(int(time.monotonic() - copy.taken)),
            "X-Cache": "HIT" if hit else "MISS",
        }
        return web.FileResponse(copy.path, headers=headers)

    def _find(self, key: str) -> Path | None:
        bucket, _, name = key.partition("/")
        path = self.root / key
        inside = "\0" not in key and path.resolve().is_relative_to(self.root / bucket)
        return path if bucket and name and inside and path.is_file() else None

    def _take(self, key: str, original: Path) -> Copy:
        self.folder.mkdir(exist_ok=True)
        path = self.folder / hashlib.sha256(key.encode()).hexdigest()
        unfinished = path.with_suffix(".part")
        version = _version(original)
        shutil.copy2(original, unfinished)
        unfinished.replace(path)  # who is still being sent the former copy gets all of it
        return Copy(path, time.monotonic(), version)


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
