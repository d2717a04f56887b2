"""The memory of this instance."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Of the control group that the process sees as its own: version 2, then version 1. Without a limit there is the word
# `max`, or a number beyond any machine. https://docs.kernel.org/admin-guide/cgroup-v2.html
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

UNKNOWN = 512 * 1024 * 1024
"""Bytes to assume where the system does not report them: a small instance."""


def instance_memory(limits: tuple[Path, ...] = LIMITS) -> int:
    """Return the bytes that this process may use: the container's limit, or else the machine's memory."""
    found = [_of_machine()]
    for path in limits:
        with suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found)


def _of_machine() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return UNKNOWN


def resident_memory(statistics: Path = Path("/proc/self/statm")) -> int | None:
    """Return the bytes of memory that this process has; None where the system does not report them."""
    try:
        return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return None
