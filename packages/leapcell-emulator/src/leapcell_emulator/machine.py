"""The processors and the memory that an instance finds: those that its `memory` buys, not this machine's.

Programs choose their number of workers and the sizes of their caches by these files. Linux has more places that say it
(control groups, affinity); those are this machine's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from leapcell_emulator.documented import MEMORY_PER_CORE

_FILES: Final = {
    "meminfo": "/proc/meminfo",
    "cpuinfo": "/proc/cpuinfo",
    "online": "/sys/devices/system/cpu/online",
    "possible": "/sys/devices/system/cpu/possible",
    "present": "/sys/devices/system/cpu/present",
}


def processors(memory: int) -> int:
    """The whole processors that this many MB buy, at least one: LeapCell sells shares."""
    return max(1, math.ceil(memory / MEMORY_PER_CORE))


def write_machine(folder: Path, memory: int) -> Path:
    """Write the files for an instance with this many MB into a new folder, and return it."""
    folder.mkdir(parents=True)
    count = processors(memory)
    kilobytes = memory * 1024
    fields = {"MemTotal": kilobytes, "MemFree": kilobytes * 9 // 10, "MemAvailable": kilobytes * 9 // 10}
    fields |= dict.fromkeys(("Buffers", "Cached", "SwapCached", "SwapTotal", "SwapFree", "Shmem", "SReclaimable"), 0)
    (folder / "meminfo").write_text("".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in fields.items()))
    processor = "processor\t: {}\nmodel name\t: LeapCell emulator\ncpu cores\t: {}\n\n"
    (folder / "cpuinfo").write_text("".join(processor.format(number, count) for number in range(count)))
    for name in ("online", "possible", "present"):
        (folder / name).write_text("0\n" if count == 1 else f"0-{count - 1}\n")
    return folder


def shown_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each file with the place where a process looks for it; places that this machine does not have are left out."""
    for name, target in _FILES.items():
        if Path(target).exists():
            yield folder / name, target
