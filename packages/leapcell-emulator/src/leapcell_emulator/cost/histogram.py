"""A distribution of seconds in bounded memory: quantiles are exact to one percent."""

from __future__ import annotations

import math
from typing import Final

_SMALLEST: Final = 1e-4  # seconds; what is below counts as this
_WIDTH: Final = math.log(1.01)
_BINS: Final = 1 + int(math.log(1e5 / _SMALLEST) / _WIDTH)


class Histogram:
    """Counts of durations."""

    __slots__ = ("_bins", "count", "total")

    def __init__(self) -> None:
        self._bins = [0] * _BINS
        self.count = 0
        self.total = 0.0
        """Sum of all seconds."""

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self.count += 1
        self.total += seconds
        place = int(math.log(seconds / _SMALLEST) / _WIDTH) if seconds > _SMALLEST else 0
        self._bins[min(place, _BINS - 1)] += 1

    def quantile(self, share: float) -> float:
        """Return the seconds that this share of all durations does not exceed; 0 where there are none."""
        wanted = share * self.count
        seen = 0
        for place, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return _SMALLEST * math.exp((place + 0.5) * _WIDTH) if place else _SMALLEST
        return 0.0

    @property
    def mean(self) -> float:
        """Seconds, on average."""
        return self.total / self.count if self.count else 0.0
