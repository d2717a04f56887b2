"""The files that an instance sees: those of its image, an own /tmp, and the machine that its `memory` buys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from leapcell_emulator.bubblewrap_sandbox import system_names
from leapcell_emulator.image import Image
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import PROJECT, Mount, Room


def instance_room(image: Image, rules: Rules, folder: Path) -> Room:
    """Return the room of an instance with its own `folder`. Without E1 it can write to the project."""
    mounts = image.mounts(system_names())
    if not rules.read_only:
        mounts = tuple(_writable(mount, folder) if mount.target == PROJECT else mount for mount in mounts)
    return Room(
        folder=image.folder,
        start=image.start,
        temp=folder / "tmp",
        mounts=mounts,
        readable=image.programs,
        machine=None if image.host_tools else folder / "machine",
        host_tools=image.host_tools,
    )


def _writable(mount: Mount, folder: Path) -> Mount:
    """Let an instance write: to the common folder, or to its own over several."""
    return replace(mount, upper=folder / "app" if len(mount.lowers) > 1 else None, writable=True)
