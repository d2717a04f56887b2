"""The results of the first steps of builds, kept for later runs: a folder for each, by a digest of its inputs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import IO, Final

from leapcell_emulator.bubblewrap_sandbox import delete_work

KEPT: Final = 10
"""Builds that are kept, the last used ones."""
LONGEST: Final = 7 * 24 * 3600.0
"""Seconds after which a build is made again: what is not pinned has newer versions by then."""
_LAYER: Final = "layer"
_LOCK: Final = "lock"


def default_folder() -> Path:
    """The folder of this user's builds."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leapcell-emulator" / "builds"


class KeptBuilds:
    """Builds in one folder, which several emulators may use at a time. `close` lets others delete them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._locks: list[IO[str]] = []

    def find(self, key: str) -> tuple[Path, float] | None:
        """The folder of a build with these inputs, and its age in seconds; None: there is none that may be used."""
        kept = self.folder / key
        with contextlib.suppress(OSError):
            age = time.time() - (kept / _LAYER).stat().st_mtime
            if age > LONGEST:
                return None
            lock = (kept / _LOCK).open("r+")
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._locks.append(lock)
            os.utime(kept)
            if (kept / _LAYER).is_dir():  # not deleted before it was locked
                return kept / _LAYER, age
        return None

    def begin(self) -> Path:
        """A new folder to build in."""
        return Path(tempfile.mkdtemp(prefix="new-", dir=self.folder)) / _LAYER

    def keep(self, layer: Path, key: str) -> Path:
        """Keep what was built in a folder that `begin` made; return its place from now on."""
        made, kept = layer.parent, self.folder / key
        (made / _LOCK).touch()
        os.utime(layer)
        self._delete(kept)  # an older one
        try:
            made.rename(kept)
        except OSError:  # another emulator uses the older one, or was quicker: ours is for this run
            kept = made
        found = self.find(kept.name)
        self._prune()
        return found[0] if found else kept / _LAYER

    def discard(self, layer: Path) -> None:
        """Delete what was not finished."""
        _remove(layer.parent)

    def close(self) -> None:
        """Let go of what was used."""
        for lock in self._locks:
            lock.close()
        self._locks.clear()
        self._prune()

    def _prune(self) -> None:
        """Delete the builds that were not used for longest, and what killed emulators left."""
        with contextlib.suppress(OSError):
            entries = sorted(self.folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
            for place, path in enumerate(entries):
                age = time.time() - path.stat().st_mtime
                if place >= KEPT or age > LONGEST or (path.name.startswith("new-") and age > 24 * 3600):
                    self._delete(path)

    def _delete(self, kept: Path) -> None:
        """Delete a build that no emulator uses."""
        with contextlib.suppress(OSError), (kept / _LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(kept)


def _remove(folder: Path) -> None:
    delete_work(folder / _LAYER)
    shutil.rmtree(folder, ignore_errors=True)
