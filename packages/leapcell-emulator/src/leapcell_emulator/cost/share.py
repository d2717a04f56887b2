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
    """Return the seconds that work takes, on average, which needs `processor` seconds of a whole core.

    The kernel lets it run for `share` of each `period` (seconds), and stops it for the rest. Work that begins after a
    pause, anywhere in a period, finds a whole period's part: short work is not slowed down, and the first stop is
    shorter than the others. `period` 0: the share is spread evenly.
    """
    if share >= 1 or processor <= 0:
        return processor
    if not period:
        return processor / share
    quota = share * period
    parts = processor / quota
    if parts <= 1:
        return processor
    # Begun early in a period, it is stopped before the end of it; begun late, it goes on with the next one's part.
    stops = (1 - share) * (math.ceil(parts - 1e-9) - 1.5) + share * (parts - 1)
    return processor + stops * (period - quota)
