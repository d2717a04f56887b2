"""The version of a project's code, templates included: a text that is part of the keys of caches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.apps import App

READ: Final = frozenset({".py", ".html", ".txt", ".mo", ".json", ".md"})
FRAMEWORK: Final = Path(__file__).parents[1] / "__init__.py"  # names the version of FastOpp
LOOK_EVERY: Final = 1.0  # seconds, in development


def code_version_of(apps: Sequence[App], *, development: bool, clock: Clock = SYSTEM_CLOCK) -> Callable[[], str]:
    """Return a function that returns the version. It looks at the files once, and in development again and again.

    Names, sizes and times of files count. Instances of one build have the same.
    """
    known: list[tuple[float, str]] = []

    def code_version() -> str:
        now = clock.monotonic()
        if not known or (development and now - known[-1][0] >= LOOK_EVERY):
            known[:] = [(now, _read(apps))]
        return known[0][1]

    return code_version


def _read(apps: Sequence[App]) -> str:
    digest = hashlib.sha256(FRAMEWORK.read_bytes())
    for file in sorted(_files(apps)):
        status = file.stat()
        digest.update(f"{file}\n{status.st_size}\n{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _files(apps: Sequence[App]) -> Iterator[Path]:
    root = Path.cwd()
    yield from root.glob("*.py")
    for folder in (root / "templates", root / "locale", *(app.folder for app in apps)):
        for file in folder.rglob("*"):
            if file.suffix in READ and file.is_file():
                yield file
