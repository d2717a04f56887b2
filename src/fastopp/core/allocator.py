"""Tune how the C library returns freed memory to the system."""

from __future__ import annotations

# The parameters of mallopt(3), from glibc's <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8

ARENAS = 2
"""Pools of small blocks. By default each of the first threads gets its own, eight for each core, and keeps it."""

LARGE = 256 * 1024
"""Bytes from which a block goes back to the system when it is freed: pictures, hashes, bodies.

By default glibc raises this to the largest block that was freed, up to 32 MiB. Then the 19 MiB of a password's hash
stay in the pool of the thread that made it.
"""


def return_freed_memory() -> bool:
    """Have large blocks go back to the system when they are freed; False where the C library is not glibc.

    For a server's own process, before it starts threads.
    """
    import ctypes  # noqa: PLC0415 - 5 ms that only a server pays, and psycopg imports it as well

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    options = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE), (_M_TRIM_THRESHOLD, LARGE))
    accepted = [mallopt(name, value) == 1 for name, value in options]
    return all(accepted)
