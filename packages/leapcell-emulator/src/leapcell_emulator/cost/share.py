"""The share of a processor that memory buys, and how much longer work takes with it."""

from __future__ import annotations

import math
from typing import Final

from leapcell_emulator.documented import MEMORY_PER_CORE

SIZES: Final = (128, 192, 256, 512, 1024, 1769)  # MB; above this a single request is not faster
KERNEL_PERIOD: Final = 0.1  # seconds over which Linux grants a share; LeapCell's is not documented


def share_of(memory: float) -> float:
    """The part of one core that this many MB buy; one request uses one core at most."""
    return min(1.0, memory / MEMORY_PER_CORE)


def stretched(processor: float, share: float, period: float) -> float:
    """Return the seconds that work takes which needs `processor` seconds of a whole core.

    The kernel lets it run for `share` of each `period` (seconds), and stops it for the rest. Work that begins after a
    pause finds a whole period's part, so short work is not slowed down. `period` 0: the share is spread evenly.
    """
    if share >= 1 or processor <= 0:
        return processor
    if not period:
        return processor / share
    quota = share * period
    pauses = math.ceil(processor / quota - 1e-9) - 1
    return processor + max(0, pauses) * (period - quota)


def waited(seconds: float, processor: float, share: float, period: float) -> float:
    """Return the seconds of a measured duration in which it did not need the processor."""
    return max(0.0, seconds - stretched(processor, share, period))
