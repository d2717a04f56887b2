"""TCP keepalive: let the kernel notice soon that the other end of an idle connection is gone."""

from __future__ import annotations

import socket
from collections.abc import Mapping

# Sixty seconds in all: under the shortest idle limits of NAT gateways and load balancers in common use.
KEEPALIVE = {"idle": 30, "interval": 10, "count": 3}  # seconds, seconds, probes

# libpq's name and the kernel's; not every kernel has each.
_OPTIONS = {"idle": "TCP_KEEPIDLE", "interval": "TCP_KEEPINTVL", "count": "TCP_KEEPCNT"}


def apply(connected: socket.socket | None, timeout: float, query: Mapping[str, str]) -> None:
    """Set on a TCP socket what libpq sets: `timeout` seconds for an unacknowledged write, and the keepalives."""
    if connected is None or connected.family not in (socket.AF_INET, socket.AF_INET6):
        return
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(query.get("keepalives", 1)))
    for name, option in _OPTIONS.items():
        if hasattr(socket, option):
            value = int(query.get(f"keepalives_{name}", KEEPALIVE[name]))
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        milliseconds = int(query.get("tcp_user_timeout", timeout * 1000))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
