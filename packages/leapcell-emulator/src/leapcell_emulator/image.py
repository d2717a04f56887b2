"""The parts of a deployment: a copy of the project, as git would clone it, and what the build command made of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leapcell_emulator.environment import machine_environment
from leapcell_emulator.errors import EmulatorError
from leapcell_emulator.sandbox import ENVIRONMENT, HOME, PROJECT, Mount

# Never part of a clone, for a project that is not in git.
_LEFT_OUT: Final = ("__pycache__", ".git", ".venv", "venv", "node_modules", ".env", ".mypy_cache", ".pytest_cache")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The PATH of a container."""


class ProjectMissing(EmulatorError):
    """There is no such project folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A deployment on disk."""

    folder: Path
    """The project, as it was copied."""
    home: Path
    """The home folder before the build: empty."""
    environment: dict[str, str]
    """The variables that its commands get before the service's."""
    start: str = ""
    """The folder in the project in which its commands run."""
    layers: tuple[Path, ...] = ()
    """Folders with what each step of the build wrote, by the place in the sandbox: `app`, `environment`, `usr`."""
    programs: tuple[Path, ...] = field(default=())
    """Folders of programs that its commands use, besides the system's."""
    host_tools: bool = False

    def mounts(self, system: Collection[str] = (), upper: Path | None = None) -> tuple[Mount, ...]:
        """Return the folders of the sandbox that are this image's.

        system: folders of the machine, `usr` and others, that may have been changed, or that may be now.
        upper: the folder that gets what is written; None: nothing can be written.
        """
        bases = {PROJECT: [self.folder], ENVIRONMENT: [], HOME: [self.home]}
        bases |= {f"/{name}": [Path("/", name)] for name in system}
        mounts = []
        for target, base in bases.items():
            name = target.strip("/")
            changed = [layer / name for layer in self.layers if (layer / name).is_dir()]
            if upper is not None:
                mounts.append(Mount(target=target, lowers=(*base, *changed), upper=upper / name))
            elif changed or (base and name not in system):
                mounts.append(Mount(target=target, lowers=(*base, *changed)))
        return tuple(mounts)


def copy_project(source: Path, target: Path) -> list[str]:
    """Copy what a clone of the project would hold, and return the files that are not committed yet.

    In a git repository these are the tracked and the not ignored files as they are now, otherwise all but caches,
    virtual environments and `.env`.
    """
    if not source.is_dir():
        raise ProjectMissing(f"There is no folder {source}.")
    names = _git(source, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", ".")
    if names is None:
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
        return []
    for name in names:
        origin, copy = source / name, target / name
        if origin.is_dir() and not origin.is_symlink():  # a submodule
            shutil.copytree(origin, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True)
        elif origin.is_symlink() or origin.exists():  # a tracked file may have been deleted
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, copy, follow_symlinks=False)
    return _git(source, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or []


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """Names that git lists; None where there is no git or no repository."""
    try:
        command = ["git", "-c", "safe.directory=*", "-C", str(folder), *arguments]
        answer = subprocess.run(command, capture_output=True, env=machine_environment(), check=False)  # noqa: S603 - our own words
    except OSError:
        return None
    return os.fsdecode(answer.stdout).split("\0")[:-1] if answer.returncode == 0 else None


def base_environment(*, host_tools: bool = False, more: Collection[str] = ()) -> dict[str, str]:
    """Return the variables that a process gets by default: nothing of the developer's, but PATH with `host_tools`."""
    path = os.environ.get("PATH", os.defpath) if host_tools else PATH
    return {"PATH": ":".join([*more, path]), "LANG": "C.UTF-8", "HOME": HOME}


def own_environment() -> dict[str, str]:
    """Return the variables for a project without a build: its commands run in the environment of the emulator."""
    variables = {"PATH": str(Path(sys.executable).parent)}
    if sys.prefix != sys.base_prefix:
        variables["VIRTUAL_ENV"] = sys.prefix
    return variables
