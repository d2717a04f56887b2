"""The processes of an instance: found, stopped, continued, measured.

They are found as descendants of the one we started, so a process that made its own session or group is among them.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def descendants(pid: int) -> list[int]:
    """Every process that this one started, directly or not, parents first."""
    found = []
    pending = [pid]
    while pending:
        direct = children(pending.pop())
        found += direct
        pending += direct
    return found


def children(pid: int) -> list[int]:
    """The processes that this one started and that live, or that it was left with."""
    found: list[int] = []
    with contextlib.suppress(OSError):  # it has ended
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - on the path of every request: names suffice
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found


def stop(find: Callable[[], list[int]]) -> list[int]:
    """Stop every process that is found, those too that are forked meanwhile; return them, for `resume`."""
    stopped: list[int] = []
    while fresh := [child for child in find() if child not in stopped]:
        for child in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
        stopped += fresh
    return stopped


def resume(stopped: list[int]) -> None:
    """Continue what `stop` stopped."""
    for pid in stopped:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def signal_all(pid: int, number: signal.Signals) -> None:
    """Send a signal to every descendant."""
    for child in descendants(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)


def memory(pid: int, *, largest: bool = False) -> int:
    """Bytes of memory that the descendants hold; what they share is counted for each. `largest`: of one of them."""
    held = [0]
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            held.append(int(Path(f"/proc/{child}/statm").read_text(encoding="ascii").split()[1]) * _PAGE)
    return max(held) if largest else sum(held)


def cpu_seconds(pid: int) -> float:
    """Processor time that the living descendants have used."""
    total = 0
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            # The command's name may hold spaces and brackets; what follows its last bracket does not.
            values = (
                Path(f"/proc/{child}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
            total += sum(map(int, values[11:15]))
    return total / _TICKS
