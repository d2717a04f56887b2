"""The work that goes on when an instance is about to be stopped (E4), as far as the kernel shows it.

A thread that computes, sleeps, or waits for the network after the answer is work that LeapCell does not go on with. An
event loop looks the same from outside whether it waits for a request or for a timer, so a coroutine that waits is not
seen.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_SLEEPS: Final = {"x86_64": {35, 230}, "aarch64": {101, 115}}  # nanosleep, clock_nanosleep
# connect, sendto, recvfrom, recvmsg, poll
_NETWORK: Final = {"x86_64": {42, 44, 45, 47, 7}, "aarch64": {203, 206, 207, 212, 73}}


@dataclass(frozen=True, slots=True)
class Work:
    """A thread that is not idle."""

    thread: int
    program: str
    name: str
    """The thread's name; that of the program where it has none."""
    doing: str

    @property
    def words(self) -> str:
        """A description, to begin a sentence."""
        name = f"The thread {self.name}" if self.name != self.program else "A thread"
        return f"{name} of {self.program}, which {self.doing},"


def find_work(pids: Iterable[int], *, sleeping: bool = True) -> set[Work]:
    """Return the threads of these processes that are not idle.

    sleeping: whether a thread that sleeps counts; Go's own do so all the time.
    """
    machine = platform.machine()
    found = set()
    for pid in pids:
        try:
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names suffice
        except OSError:  # it has ended
            continue
        for thread in threads:
            doing = _doing(pid, thread, machine, sleeping=sleeping)
            if doing:
                program, name = _read(f"/proc/{pid}/comm"), _read(f"/proc/{pid}/task/{thread}/comm")
                found.add(Work(int(thread), program, name, doing))
    return found


def _doing(pid: int, thread: str, machine: str, *, sleeping: bool) -> str:
    call = _read(f"/proc/{pid}/task/{thread}/syscall").partition(" ")[0]
    if call == "running":
        return "was computing"
    if not call.isdigit():
        return ""
    if sleeping and int(call) in _SLEEPS.get(machine, ()):
        return "was asleep"
    # The first thread of a server waits for its next request in the same way.
    if int(thread) != pid and int(call) in _NETWORK.get(machine, ()):
        return "was waiting for the network"
    return ""


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - on the path of requests
            return file.read().strip()
    except OSError:  # it has ended, or is another user's
        return ""
