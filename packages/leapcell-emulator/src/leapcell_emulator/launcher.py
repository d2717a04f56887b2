"""The first program in the sandbox: it makes itself small, reports to the emulator, and becomes the start command.

Run as a file by the emulator's own Python, isolated (`-I -S`), so it imports the standard library only. It gets its
task as JSON in its first argument: `command` and `folder`; `channel`, a socket to the emulator; `writable`, the only
paths that can be written (null: the sandbox sees to it), and `packages`, where Landlock's is; `supervise`, whether to
stay as a parent that lets nothing outlive the command; `connect`, whether the emulator decides about connections.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import select
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any

# Linux's numbers: prctl.h, seccomp.h, audit.h, and each architecture's unistd.h.
PR_SET_NO_NEW_PRIVS = 38
PR_SET_CHILD_SUBREAPER = 36
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_USER_NOTIF = 0x7FC00000
# machine: (seccomp's number, bind's, connect's, audit's name of the architecture)
MACHINES = {"x86_64": (317, 49, 42, 0xC000003E), "aarch64": (277, 200, 203, 0xC00000B7)}

BPF_LOAD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
OFFSET_NUMBER, OFFSET_ARCHITECTURE = 0, 4


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def listen_to_addresses(*, connect: bool) -> int:
    """Have the kernel ask the emulator about every `bind` from here on; return the descriptor it asks on.

    connect: about every `connect` too.

    Raises `OSError` where the kernel cannot.
    """
    if platform.machine() not in MACHINES:
        raise OSError(0, f"unknown machine {platform.machine()}")
    seccomp, bind, connecting, architecture = MACHINES[platform.machine()]
    instructions = [
        (BPF_LOAD, 0, 0, OFFSET_ARCHITECTURE),
        (BPF_JUMP_IF_EQUAL, 0, 3, architecture),
        (BPF_LOAD, 0, 0, OFFSET_NUMBER),
        (BPF_JUMP_IF_EQUAL, 2, 0, bind),
        (BPF_JUMP_IF_EQUAL, 1, 0, connecting if connect else bind),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
        (BPF_RETURN, 0, 0, SECCOMP_RET_USER_NOTIF),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in instructions))
    program = _Program(len(instructions), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    descriptor = libc.syscall(seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, ctypes.byref(program))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(descriptor)


def allow_writing_only(paths: list[str], packages: str) -> None:
    """Landlock: everything can be read and run, nothing but these can be written.

    packages: the folder that the `landlock` package is in, which an isolated Python may not find.
    """
    sys.path.append(packages)
    # Imported in the fallback only; it has no type hints.
    from landlock import FSAccess, Ruleset  # type: ignore[import-untyped]  # noqa: PLC0415

    reading = FSAccess.EXECUTE | FSAccess.READ_FILE | FSAccess.READ_DIR
    rules = Ruleset(restrict_rules=FSAccess.all() & ~reading)
    for path in paths:
        kinds = rules.restrict_rules
        if not Path(path).is_dir():
            kinds &= FSAccess.WRITE_FILE | FSAccess.TRUNCATE
        rules.allow(path, rules=kinds)
    rules.apply()


def main() -> None:
    """Apply the instructions and become the command."""
    launch: dict[str, Any] = json.loads(sys.argv[1])
    channel = socket.socket(fileno=launch["channel"])
    if launch["supervise"]:
        _supervise(channel)
    if launch["writable"] is not None:
        allow_writing_only(launch["writable"], launch["packages"])
    descriptors = []
    with contextlib.suppress(OSError):
        descriptors.append(listen_to_addresses(connect=launch["connect"]))
    socket.send_fds(channel, [b"ready"], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    # The emulator has put us into our control group when it answers.
    if not channel.recv(1):
        raise SystemExit(1)
    channel.close()
    os.chdir(launch["folder"])
    # LeapCell runs it by Bash: https://docs.leapcell.io/service/troubleshooting
    os.execvp("bash", ["bash", "-c", launch["command"]])  # noqa: S606, S607 - the project's own command


def _supervise(channel: socket.socket) -> None:
    """Fork; the child goes on, the parent sees to it that nothing outlives the command or the emulator.

    Only where there is no PID namespace, which does that better.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    lifeline = os.dup(0)
    child = os.fork()
    if child == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(lifeline)
        return
    channel.close()
    poll = select.poll()
    poll.register(lifeline, select.POLLIN | select.POLLHUP)
    poll.register(os.pidfd_open(child), select.POLLIN)
    while not poll.poll():
        pass
    status = None
    while True:
        _kill_all()
        with contextlib.suppress(ChildProcessError):
            pid, code = os.waitpid(-1, 0)
            status = code if pid == child else status
            continue
        break
    code = os.waitstatus_to_exitcode(status or 0)
    sys.exit(code if code >= 0 else 128 - code)


def _kill_all() -> None:
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir():
        for pid in (task / "children").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    main()
