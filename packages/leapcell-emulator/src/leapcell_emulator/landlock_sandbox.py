"""The fallback without namespaces: Landlock, which can forbid writing but cannot give each instance its own /tmp.

An instance may write in its own folder, named by `TMPDIR`; the machine's /tmp it may not, so an application that
writes to /tmp by name fails here although it runs on LeapCell. Rather so than the other way round.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import LAUNCHER, SHARED_MEMORY, Room, runs

_PROBE = f"""
import sys, importlib.util
spec = importlib.util.spec_from_file_location("launcher", {str(LAUNCHER)!r})
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)
launcher.allow_writing_only([sys.argv[1]], sys.argv[3])
try:
    open(sys.argv[2], "a")
except PermissionError:
    sys.exit(0)
sys.exit(1)
"""

# What every program writes to: https://docs.kernel.org/filesystems/devices.html
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts")


def _packages() -> str:
    """The folder that the `landlock` package is in; empty: it is not installed."""
    spec = find_spec("landlock")
    return str(Path(spec.origin).parent.parent) if spec and spec.origin else ""


class LandlockSandbox:
    """The kernel's own access rules: nothing can be written but the instance's folder."""

    name = "landlock"
    words = (
        "Landlock: nothing can be written but a folder of each instance's own, named by TMPDIR (writing to /tmp by "
        "name fails here although LeapCell allows it), no /dev/shm; the whole machine can be read"
    )
    mounts = False

    def works(self) -> bool:
        """Return whether the kernel enforces it."""
        with tempfile.TemporaryDirectory() as allowed, tempfile.TemporaryDirectory() as forbidden:
            command = [sys.executable, "-I", "-c", _PROBE, allowed, str(Path(forbidden) / "file"), _packages()]
            return runs(command)

    def wrap(self, command: Sequence[str], room: Room, rules: Rules) -> list[str]:
        """The command itself: the launcher confines."""
        return list(command)

    def launch_options(self, room: Room, rules: Rules) -> dict[str, Any]:
        """The folders that can be written, the one to start in, and to see to it that nothing outlives the instance."""
        caches = [cache for cache, _ in room.caches]
        writable = [str(room.temp), *(str(path) for path in (*room.writable, *caches) if path.exists())]
        writable += [device for device in _DEVICES if Path(device).exists()]
        if rules.shared_memory:
            writable.append(SHARED_MEMORY)
        if not rules.read_only:
            writable.append(str(room.folder))
        return {
            "folder": str(room.folder / room.start),
            "writable": writable,
            "packages": _packages(),
            "supervise": True,
        }

    def environment(self, room: Room) -> dict[str, str]:
        """Return the variables that name the folder where the instance may write."""
        return {"TMPDIR": str(room.temp)}
