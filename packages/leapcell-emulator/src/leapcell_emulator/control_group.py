"""The kernel's own limits for an instance: memory, and the share of a processor.

Control groups of version 2 where this user may make one beside its own (root; or a login under systemd, which hands
each user a part of the tree), those of version 1 where root finds them. Where neither works `make_control_group`
returns None: memory is then watched instead, and the share of a processor is not applied. The emulator says which.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
PERIOD: Final = 100_000  # microseconds over which the kernel grants a share: its own default


class ControlGroup:
    """One instance's control group. `memory_limited` and `cpu_limited` say what the kernel enforces."""

    def __init__(self, name: str, *, memory: int | None, cpu: float | None, account: bool = False) -> None:
        """Make it with these limits: bytes, and processors. Limits the kernel does not take are left off.

        With `account` the kernel counts processor time, for `processor_seconds`.
        """
        self._folders: list[Path] = []
        self.memory_limited = memory is not None and self._make(
            name, "memory", {"memory.max": memory}, {"memory.limit_in_bytes": memory}
        )
        quota = max(int((cpu or 0) * PERIOD), 1000)
        self.cpu_limited = cpu is not None and self._make(
            name, "cpu", {"cpu.max": f"{quota} {PERIOD}"}, {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota}
        )
        if account:
            self._make(name, "cpuacct", {}, {})
        if memory is not None and self.memory_limited:
            # Swapping would be a second memory.
            self._write_if_there({"memory.swap.max": 0, "memory.memsw.limit_in_bytes": memory})

    def add(self, pid: int) -> None:
        """Move a process here, and with it all it will start."""
        for folder in self._folders:
            with contextlib.suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(pid), encoding="ascii")

    def processes(self) -> list[int] | None:
        """Return its processes; None where the kernel keeps no group."""
        if not self._folders:
            return None
        try:  # with as few calls as possible: it is on the path of every request
            descriptor = os.open(f"{self._folders[0]}/cgroup.procs", os.O_RDONLY)
        except OSError:
            return None
        try:
            text = b""
            while part := os.read(descriptor, 65536):
                text += part
        finally:
            os.close(descriptor)
        return [int(pid) for pid in text.split()]

    def memory(self) -> int | None:
        """Bytes in use; None where memory is not limited here."""
        for name in ("memory.current", "memory.usage_in_bytes"):
            for folder in self._folders:
                with contextlib.suppress(OSError):
                    return int((folder / name).read_text(encoding="ascii"))
        return None

    def kills(self) -> int:
        """Processes that were killed for want of memory."""
        for name in ("memory.events", "memory.oom_control"):
            for folder in self._folders:
                with contextlib.suppress(OSError):
                    for line in (folder / name).read_text(encoding="ascii").splitlines():
                        key, _, value = line.partition(" ")
                        if key == "oom_kill":
                            return int(value)
        return 0

    def processor_seconds(self) -> float | None:
        """Return the processor time of all its processes, ended ones too; None where the kernel does not count it."""
        for folder in self._folders:
            with contextlib.suppress(OSError):
                return int((folder / "cpuacct.usage").read_text(encoding="ascii")) / 1e9
            with contextlib.suppress(OSError, IndexError):
                return (
                    int((folder / "cpu.stat").read_text(encoding="ascii").partition("usage_usec ")[2].split()[0]) / 1e6
                )
        return None

    def remove(self) -> bool:
        """Remove it, and return whether it is gone: for a moment, a process that has ended still counts."""
        for folder in tuple(self._folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
            if not folder.exists():
                self._folders.remove(folder)
        return not self._folders

    def _make(self, name: str, controller: str, second: dict[str, object], first: dict[str, object]) -> bool:
        for parent, limits in ((_version_2(), second), (_version_1(controller), first)):
            if parent is None:
                continue
            folder = parent / name
            try:
                folder.mkdir(exist_ok=True)
                for file, value in limits.items():
                    _write(folder / file, value)
            except OSError:
                if folder not in self._folders:
                    with contextlib.suppress(OSError):
                        folder.rmdir()
                continue
            if folder not in self._folders:
                self._folders.append(folder)
            return True
        return False

    def _write_if_there(self, values: dict[str, object]) -> None:
        for folder in self._folders:
            for file, value in values.items():
                with contextlib.suppress(OSError):
                    _write(folder / file, value)


def remove_abandoned(prefix: str, lives: Callable[[str], bool]) -> None:
    """Remove the groups whose emulator was killed: those called `prefix`…`-`instance of which it does not live."""
    for parent in {_version_2(), _version_1("memory"), _version_1("cpu"), _version_1("cpuacct")} - {None}:
        assert parent is not None  # noqa: S101 - as the line above says
        for folder in parent.glob(f"{prefix}*-*"):
            if not lives(folder.name.rpartition("-")[0]):
                with contextlib.suppress(OSError):  # another user's
                    folder.rmdir()


def _write(path: Path, value: object) -> None:
    # Not write_text, which would try to make a file that is not there.
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, str(value).encode())
    finally:
        os.close(descriptor)


def _own(controllers: str) -> str | None:
    """The path of this process's group in a hierarchy; empty `controllers`: version 2's."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, names, path = line.split(":", 2)
            if controllers in names.split(","):
                return path
    return None


def _version_2() -> Path | None:
    own = _own("")
    if own is None or not (ROOT / "cgroup.controllers").exists():
        return None
    # Beside our own group: a group with processes in it cannot have groups with limits below it.
    return ROOT / own.strip("/") if own == "/" else (ROOT / own.strip("/")).parent


def _version_1(controller: str) -> Path | None:
    own = _own(controller)
    folder = ROOT / controller
    return folder / own.strip("/") if own is not None and folder.is_dir() else None
