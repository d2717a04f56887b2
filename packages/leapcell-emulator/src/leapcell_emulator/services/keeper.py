"""Runs one program, ends it when the emulator ends, however that ends, and then deletes its folder.

A script for a separate Python process, started by `process.py`: it imports the standard library only. The emulator
holds the other end of this process's standard input. The kernel closes it when the emulator dies, even of SIGKILL,
so that end-of-file is the one message that cannot get lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

CLONE_NEWUSER = 0x10000000  # linux/sched.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
FOR_THE_EMULATOR = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # which then ends us in order


def give_up_root(folder: Path) -> None:
    """Drop root privileges, since PostgreSQL refuses to run as root.

    In a user namespace only the process's user id changes, so it may still read a program below /root. Where
    there are no user namespaces it becomes the unprivileged user, which gets the folder.
    """
    nobody = pwd.getpwnam("nobody")
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{nobody.pw_uid} 0 1")
        Path("/proc/self/gid_map").write_text(f"{nobody.pw_gid} 0 1")
        return
    try:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        sys.exit(
            "It does not run as root. This user namespace has no other user, and another one cannot be made: "
            "run the emulator as a user of the machine, or with --no-database."
        )
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)


def end(process: subprocess.Popen[bytes], stop_signal: int, patience: float) -> None:
    """Ask the program and its children to stop, then stop them."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
        os.killpg(process.pid, signal.SIGKILL)


def keep(plan: dict[str, Any]) -> int:
    """Run the plan's command until it ends or standard input does. Returns its exit code."""
    folder, stop_signal = Path(plan["folder"]), int(plan["stop_signal"])
    parent = os.getpid()
    libc = ctypes.CDLL(None)

    def die_with_keeper() -> None:
        for number in FOR_THE_EMULATOR:
            signal.signal(number, signal.SIG_DFL)
        libc.prctl(PR_SET_PDEATHSIG, stop_signal)
        if os.getppid() != parent:
            os.kill(os.getpid(), stop_signal)

    with Path(plan["log"]).open("ab") as log:
        if plan["give_up_root"]:
            give_up_root(folder)
        process = subprocess.Popen(  # noqa: S603 - the emulator's own command
            plan["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
            preexec_fn=die_with_keeper,  # noqa: PLW1509 - this process has one thread
        )
    events = select.poll()
    events.register(0, select.POLLIN | select.POLLHUP)
    events.register(os.pidfd_open(process.pid), select.POLLIN)
    events.poll()
    end(process, stop_signal, plan["patience"])
    return process.wait()


def main() -> int:
    """Carry out the plan in the first argument."""
    for number in FOR_THE_EMULATOR:
        signal.signal(number, signal.SIG_IGN)
    plan = json.loads(sys.argv[1])
    try:
        return keep(plan)
    finally:
        with contextlib.suppress(OSError):  # the reader may be gone
            sys.stderr.write(Path(plan["log"]).read_text(errors="replace")[-2000:])
        shutil.rmtree(plan["folder"], ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
