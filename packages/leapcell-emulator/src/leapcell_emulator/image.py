"""The parts of a deployment: a copy of the project, as git would clone it, and the result of the build command."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from leapcell_emulator.confined import NO_PORT, ConfinedProcess
from leapcell_emulator.environment import machine_environment
from leapcell_emulator.errors import EmulatorError
from leapcell_emulator.manifest import Manifest
from leapcell_emulator.rules import RULES, Rules
from leapcell_emulator.sandbox import Room, Sandbox

# Never part of a clone, for a project that is not in git.
_LEFT_OUT: Final = ("__pycache__", ".git", ".venv", "venv", "node_modules", ".env", ".mypy_cache", ".pytest_cache")
# What installers keep between builds; theirs to write, so that a second build is quick.
_CACHES: Final = (".cache", ".npm", "go", ".cargo")
_KEPT_LINES: Final = 20


class BuildFailed(EmulatorError):
    """The build command failed."""


class ProjectMissing(EmulatorError):
    """There is no such project folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A built deployment on disk."""

    folder: Path
    """The project."""
    environment: dict[str, str]
    """The PATH of its commands."""
    programs: tuple[Path, ...] = ()
    """The virtual environment that the build made."""


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


async def build(
    folder: Path,
    manifest: Manifest,
    *,
    sandbox: Sandbox,
    time_limit: float,
    variables: dict[str, str],
    tell: Callable[[str], None],
) -> Image:
    """Run the build command in `folder / "project"`, with a new virtual environment for Python.

    Raises `BuildFailed` with the last lines of its output.
    """
    project, temp, environment_folder = folder / "project", folder / "build-tmp", folder / "environment"
    temp.mkdir()
    environment_folder.mkdir()
    home = Path.home()
    caches = (home / name for name in _CACHES)
    room = Room(folder=project, temp=temp, writable=(project, environment_folder, *caches))
    environment = base_environment()
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "HOME": str(home)}
    try:
        async with asyncio.timeout(time_limit or None):
            if manifest.runtime == "python":
                tell("Making a virtual environment")
                command = shlex.join([sys.executable, "-m", "venv", str(environment_folder)])
                await _run(command, room, sandbox, {**environment, **quiet}, tell)
                environment["PATH"] = f"{environment_folder / 'bin'}:{environment['PATH']}"
                environment["VIRTUAL_ENV"] = str(environment_folder)
            tell(f"Building: {manifest.build_command}")
            await _run(manifest.build_command, room, sandbox, {**environment, **variables, **quiet}, tell)
    except TimeoutError:
        rule = RULES["build_timeout"]
        message = rule.message.format(limit=rule.format(time_limit))
        raise BuildFailed(message, hint=f"{rule.evidence}: {rule.source}; {rule.option} changes it.") from None
    shutil.rmtree(temp, ignore_errors=True)
    return Image(folder=project, environment=environment, programs=(environment_folder,))


async def _run(
    command: str, room: Room, sandbox: Sandbox, variables: dict[str, str], tell: Callable[[str], None]
) -> None:
    """Run a command of the build as instances are run: it changes nothing else, and ends with us."""
    process = ConfinedProcess(room, Rules(shared_memory=True), sandbox, port=NO_PORT, on_line=tell)
    try:
        await process.launch(command, variables)
        await process.ended.wait()
    finally:
        await process.close()
    if process.code != 0:
        last = "\n".join(process.lines[-_KEPT_LINES:])
        raise BuildFailed(f"The build command failed {process.exit_words}. Its last lines:\n\n{last}")


def unbuilt(folder: Path) -> Image:
    """The project without a build: its commands run in the environment that the emulator runs in."""
    environment = base_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    if sys.prefix != sys.base_prefix:
        environment["VIRTUAL_ENV"] = sys.prefix
    return Image(folder=folder / "project", environment=environment)


def base_environment() -> dict[str, str]:
    """Return the variables that a process gets by default: from the developer's environment only PATH."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": "/root",  # as in a container; not writable
    }
