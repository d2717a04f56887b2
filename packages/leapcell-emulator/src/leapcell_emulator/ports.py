"""The port of each instance: the project's own, as it sees it, another one on this machine.

Every instance of a project listens on the same port, and may have it written in its code. So the kernel asks us about
each `bind` of an instance (seccomp's user notification, Linux 5.6), and for that port we bind the socket ourselves:
to the instance's port, on loopback. It may bind other ports; we note them, since "the wrong port" is what people
get wrong. Where that is wanted, it asks about each `connect` as well (`local_servers.py`). Nothing about the
application or its language matters to this, and root is not needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
from collections.abc import Callable
from typing import Final

from leapcell_emulator.loopback import HOST

# seccomp.h: struct seccomp_notif {u64 id; u32 pid; u32 flags; struct seccomp_data {int nr; u32 arch; u64 ip, args[6]}}
_NOTIFICATION: Final = struct.Struct("=QII iIQ6Q")
_RESPONSE: Final = struct.Struct("=QqiI")
_RECEIVE: Final = 0xC0000000 | _NOTIFICATION.size << 16 | ord("!") << 8  # SECCOMP_IOCTL_NOTIF_RECV
_SEND: Final = 0xC0000000 | _RESPONSE.size << 16 | ord("!") << 8 | 1  # SECCOMP_IOCTL_NOTIF_SEND
_CONTINUE: Final = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE
_PIDFD_GETFD: Final = 438  # the same on every architecture
_CONNECTS: Final = (42, 203)  # x86_64, aarch64; the numbers of `bind` are 49 and 200
_LONGEST_ADDRESS: Final = 128


class PortRedirect:
    """Answers the kernel for one instance, on the running event loop, until its last process ends."""

    def __init__(
        self,
        descriptor: int,
        *,
        port: int,
        target: int,
        on_bind: Callable[[str, int], None],
        refuses: Callable[[str, int], bool],
    ) -> None:
        """`port` is bound as `target` on loopback; `on_bind(address, port)` hears of every TCP or UDP address.

        `refuses(address, port)` decides about connections, where the kernel asks about them.
        """
        self._descriptor = descriptor
        self._port = port
        self._target = target
        self._on_bind = on_bind
        self._refuses = refuses
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(descriptor, self._answer)

    def close(self) -> None:
        """Stop answering: a process that still lives cannot bind any more."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _answer(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)):
            self.close()
            return
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, buffer)
        except OSError:  # the process ended while it asked
            return
        identifier, pid, _, call, _, _, number, address, length, *_ = _NOTIFICATION.unpack(buffer)
        try:
            asked = _address_in(pid, address, length)
            if asked is None:
                result, flags = 0, _CONTINUE
            elif call in _CONNECTS:
                refused = self._refuses(*asked[1:])
                result, flags = (-errno.ECONNREFUSED, 0) if refused else (0, _CONTINUE)
            else:
                result, flags = self._bind(pid, number, *asked)
        except OSError:
            result, flags = 0, _CONTINUE
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._descriptor, _SEND, bytearray(_RESPONSE.pack(identifier, 0, result, flags)))

    def _bind(self, pid: int, number: int, family: int, host: str, port: int) -> tuple[int, int]:
        """Bind for the process, or let the kernel do it: (negative error number, flags)."""
        self._on_bind(host, port)
        if port != self._port:
            return 0, _CONTINUE
        with _socket_of(pid, number) as theirs:
            if family == socket.AF_INET6:
                # A dual-stack server is reached by IPv4; one for IPv6 alone is not, there as here.
                host = "::ffff:" + HOST if not theirs.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else "::1"
            else:
                host = HOST
            try:
                theirs.bind((host, self._target))
            except OSError as error:
                return -(error.errno or errno.EINVAL), 0
        return 0, 0


def _address_in(pid: int, address: int, length: int) -> tuple[int, str, int] | None:
    """Return the family, host and port of an address in a process's memory; None: it is of another kind."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - not a file but a process
        memory.seek(address)
        raw = memory.read(min(length, _LONGEST_ADDRESS))
    family = int.from_bytes(raw[:2], "little")
    if family not in (socket.AF_INET, socket.AF_INET6) or len(raw) < (8 if family == socket.AF_INET else 24):
        return None
    host = socket.inet_ntop(family, raw[4:8] if family == socket.AF_INET else raw[8:24])
    return family, host, int.from_bytes(raw[2:4], "big")


def _socket_of(pid: int, number: int) -> socket.socket:
    """The socket with this number in that process, as our own."""
    libc = ctypes.CDLL(None, use_errno=True)
    # The notification names a thread; a descriptor for its process will do, they share their sockets.
    handle = os.pidfd_open(_process_of(pid))
    try:
        descriptor = libc.syscall(_PIDFD_GETFD, handle, number, 0)
    finally:
        os.close(handle)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    return socket.socket(fileno=descriptor)


def _process_of(thread: int) -> int:
    with open(f"/proc/{thread}/status", encoding="utf-8") as status:  # noqa: PTH123 - as above
        return next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))
