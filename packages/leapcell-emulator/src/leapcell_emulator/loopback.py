"""Ports on this machine. Everything of the emulator listens on loopback only."""

from __future__ import annotations

import errno
import random
import socket
from typing import Final

from leapcell_emulator.errors import Conflict

HOST: Final = "127.0.0.1"
# Below those that Linux gives to connections and to port 0 (net.ipv4.ip_local_port_range begins at
# 32768), so that none of them takes a port between our finding it and a program's listening on it: that may be seconds.
_PORTS: Final = range(16384, 32768)


class PortTaken(Conflict):
    """The port is taken."""


def is_port(number: int) -> bool:
    """Return whether a program can listen on this port."""
    return 0 < number < 65536


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches this IP address."""
    return host.startswith("127.") or host == "::1"


def free_port() -> int:
    """Return a port that is free at the moment. Raises `PortTaken` when none can be found."""
    for port in random.sample(_PORTS, 1000):
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise PortTaken("No port is free on this machine.", hint="Stop programs that listen on many ports.")


def listen(port: int, *, what: str, option: str) -> socket.socket:
    """A listening socket on loopback; port 0: any. Raises `PortTaken`, which names the option that fixes it."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port that an ended emulator's connections still linger on can be had; one that is listened on cannot.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EACCES:
            raise PortTaken(f"Port {port} for {what} needs root.", hint=f"Choose another with {option}.") from None
        hint = f"Another emulator, or something else, listens there. Choose another with {option}, or 0 for any."
        raise PortTaken(f"Port {port} for {what} is taken.", hint=hint) from None
    listener.listen(1024)
    listener.setblocking(False)
    return listener
