"""What a deployment is made of: a copy of the project, as git would clone it, and what the build command made of it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastopp.emulator.logs import LogReader
from fastopp.emulator.manifest import Manifest
from fastopp.emulator.rules import Rules
from fastopp.emulator.sandbox import Room, Sandbox
from fastopp.errors import FastOppError

# Never part of a clone, for a project that is not in git.
_LEFT_OUT: Final = ("__pycache__", ".git", ".venv", "venv", "node_modules", ".env", ".mypy_cache", ".pytest_cache")
# What installers keep between builds; theirs to write, so that a second build is quick.
_CACHES: Final = (".cache", ".npm", "go", ".cargo")
_KEPT_LINES: Final = 20


class BuildFailed(FastOppError):
    """The build command failed."""


class ProjectMissing(FastOppError):
    """There is no such project folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A built deployment on disk."""

    folder: Path
    """The project."""
    environment: dict[str, str]
    """What its commands find their programs by."""


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
        answer = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own words
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
    """Run the build command in `folder / "project"`, with a virtual environment of its own for Python.

    Raises `BuildFailed` with the last lines of its output.
    """
    project, temp = folder / "project", folder / "build-tmp"
    temp.mkdir()
    environment = base_environment()
    if manifest.runtime == "python":
        tell("Making a virtual environment")
        python = getattr(sys, "_base_executable", sys.executable)
        await _run(
            [python, "-m", "venv", str(folder / "environment")], {**os.environ}, tell=tell, time_limit=time_limit
        )
        environment["PATH"] = f"{folder / 'environment' / 'bin'}:{environment['PATH']}"
        environment["VIRTUAL_ENV"] = str(folder / "environment")
    tell(f"Building: {manifest.build_command}")
    home = Path.home()
    room = Room(
        folder=project,
        temp=temp,
        writable=(project, folder / "environment", *(home / name for name in _CACHES)),
    )
    rules = Rules(shared_memory=True)
    options = sandbox.launch_options(room, rules)
    command = ["bash", "-c", manifest.build_command]
    # Landlock confines the process that asks for it, which here would be us: there a build is run as it is.
    confined = command if options["writable"] is not None else sandbox.wrap(command, room, rules)
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "HOME": str(home)}
    variables = {**environment, **variables, **sandbox.environment(room), **quiet}
    await _run(confined, variables, tell=tell, time_limit=time_limit, folder=project)
    shutil.rmtree(temp, ignore_errors=True)
    return Image(folder=project, environment=environment)


def unbuilt(folder: Path) -> Image:
    """The project without a build: its commands run in the environment that the emulator runs in."""
    environment = base_environment()
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    if sys.prefix != sys.base_prefix:
        environment["VIRTUAL_ENV"] = sys.prefix
    return Image(folder=folder / "project", environment=environment)


def base_environment() -> dict[str, str]:
    """What a process gets that nobody set: nothing of the developer's own environment but the way to programs."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": "/root",  # as in a container; not writable
    }


async def _run(
    command: list[str],
    variables: dict[str, str],
    *,
    tell: Callable[[str], None],
    time_limit: float,
    folder: Path | None = None,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=variables,
        cwd=folder,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - asked for above
    log = LogReader(process.stdout, tell)
    try:
        async with asyncio.timeout(time_limit or None):
            await log.read()
            code = await process.wait()
    except TimeoutError:
        raise BuildFailed(f"The build took longer than {time_limit:g} s, LeapCell's limit.") from None
    finally:
        _kill_group(process)
    if code != 0:
        last = "\n".join(list(log.lines)[-_KEPT_LINES:])
        raise BuildFailed(f"The build command failed with code {code}. Its last lines:\n\n{last}")


def _kill_group(process: asyncio.subprocess.Process) -> None:
    """End what the command left running. The group is its own, so its number cannot be anybody else's."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
