"""The environment of an instance: a machine it can read but not change (E1), without shared memory (E2)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from leapcell_emulator.environment import machine_environment
from leapcell_emulator.rules import Rules

LAUNCHER: Final = Path(__file__).with_name("launcher.py")
TEMP: Final = "/tmp"  # noqa: S108 - LeapCell's one writable place
SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - as above, and not even that
PROJECT: Final = "/app"
"""The project's folder where a sandbox can choose its place; LeapCell's is unknown."""
ENVIRONMENT: Final = "/environment"
"""The virtual environment of a build, as above."""
HOME: Final = "/root"
"""The home folder of every process, as in a container: a build can write there, an instance cannot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder of the sandbox that is made of folders on this machine."""

    target: str
    """The place in the sandbox."""
    lowers: tuple[Path, ...] = ()
    """Its parts, a later one over an earlier one."""
    upper: Path | None = None
    """Gets what is written to several parts."""
    writable: bool = False
    """Whether its only part can be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The files that one process of the project may see and change."""

    folder: Path
    """The project on this machine."""
    temp: Path
    """The folder that it sees as /tmp."""
    mounts: tuple[Mount, ...] = ()
    """The project, its environment, its home, and parts of the system that a build has changed."""
    start: str = ""
    """The folder in the project in which the command starts."""
    writable: tuple[Path, ...] = ()
    """Folders that a build may change besides, at the same place: for a sandbox that mounts nothing."""
    caches: tuple[tuple[Path, str], ...] = ()
    """Folders where installers keep downloads, and their place in the sandbox."""
    readable: tuple[Path, ...] = ()
    """Folders that it may read at the same place: its Python, certificates."""
    machine: Path | None = None
    """A folder with `machine.py`'s files; None: it sees this machine's processors and memory."""
    host_tools: bool = False
    """Whether it sees the whole machine."""

    def needed(self) -> list[Path]:
        """Return the folders that the command runs by, the outermost of each.

        Besides `readable` these are our Python, which launches it, and the folders that Python imports from: an
        editable install leads out of the environment into a clone.
        """
        paths = {sys.prefix, sys.base_prefix, str(LAUNCHER.parent), *sys.path}
        if self.host_tools:
            paths.update(os.get_exec_path())
        present = {path for path in (*map(Path, paths), *self.readable) if path.is_absolute() and path.exists()}
        # Python imports from the folder that it was started in too, which may be any.
        present -= {Path("/"), Path(TEMP), Path.cwd()}
        return sorted(path for path in present if present.isdisjoint(path.parents))

    def covered_by_temp(self) -> list[Path]:
        """Return the folders below /tmp that are visible in the private one, read-only."""
        return [path for path in self.needed() if Path(TEMP) in path.parents]


class Sandbox(Protocol):
    """A way to confine a program."""

    name: str
    words: str
    """A description of the confinement, for people."""
    mounts: bool
    """Whether it shows folders at other places than theirs."""

    def wrap(self, command: Sequence[str], room: Room, rules: Rules) -> list[str]:
        """The command that runs `command` confined."""
        ...

    def launch_options(self, room: Room, rules: Rules) -> dict[str, Any]:
        """Return the launcher's own options: `folder`; `writable` and `packages` for Landlock; `supervise`."""
        ...

    def environment(self, room: Room) -> dict[str, str]:
        """Variables that the confined program needs."""
        ...


def runs(command: list[str]) -> bool:
    """Return whether a probe ends well."""
    environ = machine_environment()
    try:
        done = subprocess.run(command, capture_output=True, env=environ, timeout=10, check=False)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
