"""The age of this process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_START: Final = 19  # index of the start after the name, in clock ticks since the boot (proc_pid_stat(5))


def process_age(statistics: Path = Path("/proc/self/stat")) -> float:
    """Return the seconds since this process began; where the system does not report that, its processor seconds."""
    try:
        # The name, in parentheses, may contain spaces.
        started = int(statistics.read_text().rpartition(")")[2].split()[_START]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (AttributeError, OSError, ValueError, IndexError):
        return time.process_time()
    return max(age, 0.0)
