"""Traffic that is only known as a number of visits: arrivals by chance, along a day's curve."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from typing import Final

from leapcell_emulator.cost.request import Request

DAY: Final = 86_400.0  # seconds
LONGEST: Final = 30  # days that are simulated at most
ENOUGH: Final = 50_000  # requests

# Parts of a day's visits in each hour, from midnight. An assumption, in docs/cost.md: nights are quiet, evenings busy.
CURVE: Final = (2, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 4, 3, 2)


def days_of(visits_per_day: float, requests_per_visit: float) -> int:
    """Return how many days to simulate: a month, or fewer days with enough requests."""
    return max(1, min(LONGEST, round(ENOUGH / (visits_per_day * requests_per_visit))))


def make_requests(
    visits_per_day: float, *, requests_per_visit: float, pause: float, days: int, seed: int = 1
) -> Iterator[Request]:
    """Yield requests in the order of their arrival; the same seed gives the same.

    Parameters
    ----------
    requests_per_visit: on average; each visit has at least one.
    pause: seconds between two requests of a visit, on average.
    """
    chance = random.Random(seed)  # noqa: S311 - a simulation
    following: list[float] = []
    for visit in _visits(visits_per_day, days, chance):
        while following and following[0] <= visit:
            yield Request(heapq.heappop(following))
        yield Request(visit)
        time = visit
        for _ in range(_more(requests_per_visit - 1, chance)):
            time += chance.expovariate(1 / pause) if pause else 0.0
            heapq.heappush(following, time)
    while following:
        yield Request(heapq.heappop(following))


def _visits(visits_per_day: float, days: int, chance: random.Random) -> Iterator[float]:
    for hour in range(days * 24):
        expected = visits_per_day * CURVE[hour % 24] / sum(CURVE)
        time = 0.0
        while expected and (time := time + chance.expovariate(expected)) < 1:
            yield (hour + time) * 3600


def _more(mean: float, chance: random.Random) -> int:
    """A whole number of this mean: the next lower or higher one."""
    return int(mean) + (chance.random() < mean % 1) if mean > 0 else 0
