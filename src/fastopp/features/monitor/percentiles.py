"""Percentiles of histograms."""

from __future__ import annotations

from typing import Final, NamedTuple

from fastopp.recording import BOUNDS, Figures

SHOWN: Final = (50, 95, 99)


class Percentile(NamedTuple):
    """The seconds that a share of the work did not exceed.

    The histogram holds how many there were in each bucket, not their times. The true value is between `low` and `high`,
    the bounds of its bucket; `seconds` is interpolated between them. It is off by a factor of 2.5 at most between 1 ms
    and 10 s, of 5 above, and by 1 ms below.
    """

    seconds: float
    low: float
    high: float


def percentile(figures: Figures, percent: float) -> Percentile | None:
    """Return a percentile; None if there was no work."""
    wanted, before = sum(figures.buckets) * percent / 100, 0
    for index, count in enumerate(figures.buckets):
        if count and before + count >= wanted:
            low = BOUNDS[index - 1] if index else 0.0
            # Nothing took longer than the slowest, which also ends the last bucket.
            high = max(low, min(figures.slowest, BOUNDS[index]) if index < len(BOUNDS) else figures.slowest)
            return Percentile(min(high, low + (high - low) * (wanted - before) / count), low, high)
        before += count
    return None
