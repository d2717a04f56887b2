"""The geometry of charts: paths of SVG in a box that the page stretches to its width.

The x axis counts slots, the y axis is 100 high. Labels are no part of the SVG, which is stretched: the page sets them
beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HEIGHT: Final = 100
FASTEST: Final = 0.001  # seconds, at the foot of a chart of times
GAP: Final = 0.12  # of a slot, at both sides of its bar
LEAST: Final = 1.5  # the height of what is not nothing: one error among thousands of requests is to be seen


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across a chart, and its label."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of some series with as many values as it has slots."""

    width: int
    paths: tuple[str, ...]
    """The path of each series."""
    ticks: tuple[Tick, ...]
    """From the top to the foot."""


def stacked_bars(*series: Sequence[float]) -> Chart:
    """Return bars, one a slot, with the values of the first series at the foot."""
    sums = [sum(values) for values in zip(*series, strict=True)]
    top = round_up(max(sums, default=0))
    floors = [0.0] * len(sums)
    paths = []
    for values in series:
        path = []
        for index, value in enumerate(values):
            if value > 0:
                height = max(LEAST, HEIGHT * value / top)
                at = f"{_number(index + GAP)} {_number(HEIGHT - floors[index])}"
                path.append(f"M{at}v{_number(-height)}h{_number(1 - 2 * GAP)}v{_number(height)}z")
                floors[index] += height
        paths.append("".join(path))
    ticks = (Tick(0, top), Tick(HEIGHT / 2, top / 2), Tick(HEIGHT, 0))
    return Chart(max(len(sums), 1), tuple(paths), ticks)


def steps(*series: Sequence[float | None]) -> Chart:
    """Return lines of times in seconds with a logarithmic axis: a step for each slot, a gap where there is no value."""
    slowest = max((value for values in series for value in values if value), default=FASTEST)
    decades = max(1, math.ceil(math.log10(slowest / FASTEST) - 1e-9))
    paths = []
    for values in series:
        path, pen_is_down = [], False
        for index, value in enumerate(values):
            if value is None:
                pen_is_down = False
                continue
            share = math.log10(max(value, FASTEST) / FASTEST) / decades
            y = _number(HEIGHT * (1 - share))
            path.append(f"V{y}H{index + 1}" if pen_is_down else f"M{index} {y}H{index + 1}")
            pen_is_down = True
        paths.append("".join(path))
    ticks = (Tick(HEIGHT - HEIGHT * each / decades, FASTEST * 10**each) for each in range(decades, -1, -1))
    return Chart(max(map(len, series), default=1) or 1, tuple(paths), tuple(ticks))


def round_up(value: float) -> float:
    """Return the least of 2, 4, 6, 8, 10, 20, 40, 60 … that is not smaller, so that half of it is whole."""
    if value <= 2:
        return 2
    decade = 10 ** math.floor(math.log10(value))
    return float(next(decade * factor for factor in (1, 2, 4, 6, 8, 10) if decade * factor >= value))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
