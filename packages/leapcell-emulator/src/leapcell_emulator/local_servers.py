"""Servers of this machine that an instance could reach at 127.0.0.1, where on LeapCell it finds only itself.

Reachable are what the emulator listens on, its services, and what the instance itself started.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from leapcell_emulator.loopback import is_loopback

_LISTENING: Final = "0A"  # the state in /proc/net/tcp
_RESOLVER: Final = 53


class LocalServers:
    """Decides for one instance about connections to this machine."""

    def __init__(self, processes: Callable[[], Iterable[int]], on_refused: Callable[[str, int], None]) -> None:
        """`processes` are those of the instance; `on_refused` hears of each address once."""
        self._processes = processes
        self._on_refused = on_refused
        self._refused: set[tuple[str, int]] = set()

    def refuses(self, host: str, port: int) -> bool:
        """Return whether a connection would reach another program's server."""
        host = host.removeprefix("::ffff:")
        if not (is_loopback(host) or host in ("0.0.0.0", "::")) or port in (0, _RESOLVER):  # noqa: S104 - connected to
            return False
        listening = _listening(port)
        if not listening or any(_holds(pid, listening) for pid in (os.getpid(), *self._processes())):
            return False
        if (host, port) not in self._refused:
            self._refused.add((host, port))
            self._on_refused(host, port)
        return True


def _listening(port: int) -> set[str]:
    """The sockets that listen on a port, as their links in /proc say it."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/self/net", name).read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no IPv6
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _holds(pid: int, sockets: set[str]) -> bool:
    """Return whether a process has one of these sockets."""
    folder = f"/proc/{pid}/fd"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - names suffice
    except OSError:  # it has ended
        return False
    for name in names:
        try:
            if os.readlink(f"{folder}/{name}") in sockets:  # noqa: PTH115 - as above
                return True
        except OSError:
            continue
    return False
