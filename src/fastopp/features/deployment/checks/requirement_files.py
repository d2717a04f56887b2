"""Checks that a platform can install the requirements: their files are in git, and an index has the rest."""

from __future__ import annotations

import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Final

from fastopp.checks.check import Mode, Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.dry_run import dry_run
from fastopp.checks.errors import CannotCheck
from fastopp.checks.requirement_lines import REQUIREMENTS, UNHASHED
from fastopp.settings.child_environment import GIT, machine_environment

VENDOR: Final = (
    "Put its wheel into the folder wheels of the project (docs/apps.md#a-project-of-your-own), and write the "
    "requirements files again."
)
_NOT_IGNORED: Final = "Remove the line that hides it from .gitignore; `uv build` writes one beside its wheels."
_LOCAL: Final = re.compile(
    r"(?:-e\s+|--find-links[=\s])?(?P<path>(?:\.{1,2}/|/|file:)[^\s\[;]*)|.+ @ (?P<url>file:\S+)"
)


@check(
    "fastopp.E325",
    "A file that the requirements name is not in git",
    fix=VENDOR,
    subject=Subject.REQUIREMENTS,
    scope=Scope.DEPLOYMENT,
)
def not_in_git(context: CheckContext) -> Iterator[Problem]:
    """The platform installs from a clone of the repository, where such a file is missing."""
    root = context.folder.resolve()
    for file in _files(context.folder):
        for path in _local_paths(context.folder / file):
            place = Path(root, path.removeprefix("file://").removeprefix("file:")).resolve()
            if not place.is_relative_to(root):
                yield Problem(f"{file} names {path}, which is outside of the project.")
            elif not place.exists():
                yield Problem(f"{file} names {path}, which does not exist.")
            elif _is_ignored(root, place):
                yield Problem(f"{file} names {path}, which git ignores.", _NOT_IGNORED)


@check(
    "fastopp.E326",
    "The requirements cannot be installed",
    fix=f"Correct the name or the version. For a package that no index has: {VENDOR[0].lower()}{VENDOR[1:]}",
    subject=Subject.REQUIREMENTS,
    scope=Scope.DEPLOYMENT,
    mode=Mode.INSTALL,
)
async def not_installable(context: CheckContext) -> AsyncIterator[Problem]:
    """The build would fail. uv, or pip if there is no uv, looks for everything on the package index and in the project,
    and installs nothing."""
    files = _files(context.folder)
    if REQUIREMENTS not in files:
        raise CannotCheck("There is no requirements.txt.")
    for file in files:
        if reason := await dry_run(context.folder, file, both=len(files) > 1):
            yield Problem(f"{file} cannot be installed: {reason}")


def _files(folder: Path) -> list[str]:
    return [name for name in (REQUIREMENTS, UNHASHED) if (folder / name).is_file()]


def _local_paths(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if found := _LOCAL.match(line):
            yield found["path"] or found["url"]


def _is_ignored(root: Path, place: Path) -> bool:
    """Return whether git ignores it and does not track it; no, where there is no git or no repository."""
    names = [place, *(place.glob("*.whl") if place.is_dir() else ())][-1:]  # an empty folder is ignored by no rule
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "check-ignore", "--quiet", *map(str, names)]
    try:
        return subprocess.run(command, capture_output=True, env=machine_environment(*GIT), check=False).returncode == 0  # noqa: S603 - our own words
    except OSError:
        return False
