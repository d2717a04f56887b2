"""Memory that was freed goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# What hashing a password does, in threads that stay: 19 MiB each time.
HOLD = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from fastopp.core.allocator import return_freed_memory

if sys.argv[1] == "yes":
    assert return_freed_memory()
together = Barrier(4)


def work(_):
    together.wait()
    small = [bytes(100_000) for _ in range(50)]
    del small
    for _ in range(3):
        bytes(bytearray(19 * 2**20))


with ThreadPoolExecutor(4) as threads:
    list(threads.map(work, range(12)))
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(pages * resource.getpagesize())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_large_blocks_go_back() -> None:
    kept, returned = (
        int(subprocess.run([sys.executable, "-c", HOLD, word], check=True, capture_output=True, text=True).stdout)
        for word in ("no", "yes")
    )
    assert returned < 40 * 2**20
    assert kept - returned > 20 * 2**20
