"""An instance's /tmp as the emulator sees it: a folder, with the mount points of what the sandbox shows in it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

_COUNTED: Final = 2000  # entries that are counted for the page: 10 ms


def usage(folder: Path) -> tuple[int, int]:
    """Return the files and bytes below a folder, which may be changing; of very many, the first."""
    files = size = 0
    with contextlib.suppress(OSError):
        for path in itertools.islice(folder.rglob("*"), _COUNTED):
            with contextlib.suppress(OSError):
                if path.is_file() and not path.is_symlink():
                    files += 1
                    size += path.stat().st_size
    return files, size


def empty(folder: Path, kept: Collection[Path]) -> None:
    """Delete what is in a folder, but not the mount points `kept`: deleting one would unmount it in the sandbox."""
    for path in folder.iterdir():
        if path in kept:
            continue
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
        elif any(path in point.parents for point in kept):
            empty(path, kept)
        else:
            shutil.rmtree(path, ignore_errors=True)
