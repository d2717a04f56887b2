"""The Dockerfile: requirements in layers that a change of the code does not touch, and a user without root's rights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from fastopp.checks.lockfile import Lock, read_lock
from fastopp.checks.project_python import allowed_minors
from fastopp.checks.requirement_lines import REQUIREMENTS, UNHASHED, install_commands
from fastopp.checks.wheels import packages_without_wheels

DOCKERFILE = """\
# Written by `python oppman.py fly init`.
FROM python:3.{minor}-slim
RUN useradd --create-home --uid 1000 app

WORKDIR /app
{install}
# What the developer alone may read, every user may read here: the server is another user.
RUN chmod -R a+rX . && python oppman.py compile

# Fly makes this user the owner of the volume. The code belongs to root, so that the server cannot change it.
USER app

# Migrations here and not in fly.toml: only a started machine has its volume.
CMD ["python", "oppman.py", "production", "--migrate"]
"""

# A line of a requirements file that names the project itself or a folder of it, and none that names a wheel.
_FOLDER: Final = re.compile(r"(-e +)?\.(?!.*\.whl)")
_WITHOUT_FOLDERS: Final = r"sed -E '/^(-e +)?\./{/\.whl/!d}'"  # the other lines, for sed
_LOCAL: Final = re.compile(r"(?:--find-links[ =])?\./([^\s\[]+)")


def dockerfile(folder: Path) -> str:
    """Return the content of the Dockerfile for a project with its requirements files."""
    lines = "\n".join(_layers(folder))
    return DOCKERFILE.format(minor=newest_minor(folder), install=lines)


def newest_minor(folder: Path) -> int:
    """Return the newest Python that the project allows, and that has wheels of all that is locked."""
    minors = allowed_minors(folder)
    lock = read_lock(folder / "uv.lock") if (folder / "uv.lock").is_file() else None
    ready = (minor for minor in reversed(minors) if lock is None or not _compiles(lock, minor))
    return next(ready, minors[-1])


def _compiles(lock: Lock, minor: int) -> bool:
    return any(True for _ in packages_without_wheels(lock, minor, "x86-64"))


def _layers(folder: Path) -> Iterator[str]:
    names = [name for name in (REQUIREMENTS, UNHASHED) if (folder / name).is_file()]
    texts = [(folder / name).read_text(encoding="utf-8").splitlines() for name in names]
    yield f"COPY {' '.join(names)} ./"
    yield from (f"COPY {name} {name}" for name in _folders_of_wheels(line for text in texts for line in text))
    pip = ("pip", "install", "--no-cache-dir")
    installs = [" ".join(command) for command in install_commands(pip, both=len(names) > 1)]
    last = []
    for name, text, install in zip(names, texts, installs, strict=True):
        with_folder = any(_FOLDER.match(line) for line in text)
        packages = [line for line in text if line.strip() and not line.startswith("#") and not _FOLDER.match(line)]
        if with_folder:
            last.append(f"RUN {install}")
        if packages and with_folder:
            packages_file = f"packages-{name}"
            yield f"RUN {_WITHOUT_FOLDERS} {name} > {packages_file} && {install.replace(name, packages_file)}"
        elif packages:
            yield f"RUN {install}"
    yield "COPY . ."
    yield from last


def _folders_of_wheels(lines: Iterable[str]) -> list[str]:
    """Return the folders in which the wheels are that the lines name."""
    found = set()
    for line in lines:
        if (path := _LOCAL.match(line)) and (line.startswith("--") or path[1].endswith(".whl")):
            place = PurePosixPath(path[1])
            found.add(str(place if line.startswith("--") else place.parent))
    return sorted(found)
