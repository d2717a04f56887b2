"""The id of the release that runs: for errors, for `/health`, and for a deployment that waits until it answers."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fastopp.settings import Settings
from fastopp.tasks.failure import storable

MAX_RELEASE: Final = 100  # characters
ID_LENGTH: Final = 16  # hexadecimal digits: 64 bits, of a few thousand releases
WRITTEN: Final = Path("__pycache__/fastopp-release")  # by a build, beside what else it generates; git ignores it

# What the behaviour depends on. Others, such as files that a platform adds, would make two copies of one commit differ.
_READ: Final = frozenset(
    {".py", ".html", ".txt", ".mo", ".json", ".md", ".css", ".js", ".toml", ".lock", ".yaml", ".yml", ".ini", ".sql"}
)
_GENERATED: Final = frozenset({"__pycache__", "node_modules", "backups", "build", "dist", "venv", "uploads"})
_COMPILED: Final = "static/app.css"  # by the build, from the templates


def release_id(settings: Settings, project: Path) -> str:
    """Return RELEASE, or else what the platform or the build calls it, or else the version in pyproject.toml.

    Empty if there is none of them. What an earlier build wrote counts in production only.
    """
    found = settings.release or settings.image_release
    if not found and not settings.development:
        found = _written(project)
    return storable(found or _version(project))[:MAX_RELEASE]


def content_id(project: Path) -> str:
    """Return the id of a project's code, which is the same for each clean checkout of a commit. Reads all of it."""
    digest = hashlib.sha256()
    for file in sorted(_files(project), key=lambda file: file.as_posix()):
        content = hashlib.sha256((project / file).read_bytes()).hexdigest()
        digest.update(f"{file.as_posix()}\n{content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:ID_LENGTH]


def write_release(project: Path) -> str:
    """Have `release_id` return the id of this code from now on; return it. Called before a build generates anything."""
    release, path = content_id(project), project / WRITTEN
    path.parent.mkdir(exist_ok=True)
    path.write_text(release, encoding="ascii")
    return release


def _files(project: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(project):
        below[:] = [n for n in below if n not in _GENERATED and not n.startswith(".") and not n.endswith(".egg-info")]
        for name in names:
            file = (Path(folder) / name).relative_to(project)
            shown = not name.startswith(".") and file.suffix in _READ
            if shown and file.as_posix() != _COMPILED and (project / file).is_file():
                yield file


def _written(project: Path) -> str:
    try:
        return (project / WRITTEN).read_text(encoding="ascii")[:ID_LENGTH]
    except (OSError, UnicodeDecodeError):
        return ""


def _version(project: Path) -> str:
    try:
        with (project / "pyproject.toml").open("rb") as file:
            version = tomllib.load(file).get("project", {}).get("version", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return version if isinstance(version, str) else ""
