"""One request of the traffic, as any kind of input states it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

ORDERED_AHEAD: Final = 10_000  # requests; logs are in the order of ends, not of starts
_NUMBER: Final = re.compile(r"/(?:\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,})(?=/|$)", re.IGNORECASE)


class Request(NamedTuple):
    """A request. None is what the input does not say."""

    time: float
    """Unix time at which it arrived."""
    path: str = "/"
    seconds: float | None = None
    """Duration, without a cold start where the input knows it."""
    processor: float | None = None
    """Seconds of a whole core."""
    bytes_out: int = 0
    status: int = 200
    memory: int | None = None
    """Bytes of the instance."""
    busy_share: float = 1.0
    """The share of a core with which `seconds` was measured."""


def in_order(requests: Iterable[Request]) -> Iterator[Request]:
    """Yield requests in the order of their arrival, in bounded memory; one that is too late gets the last time."""
    waiting: list[tuple[float, int, Request]] = []
    last = 0.0
    for number, request in enumerate(requests):
        item = (request.time, number, request)
        if len(waiting) < ORDERED_AHEAD:
            heapq.heappush(waiting, item)
            continue
        first = heapq.heappushpop(waiting, item)[2]
        last = max(last, first.time)
        yield first if first.time == last else first._replace(time=last)
    while waiting:
        first = heapq.heappop(waiting)[2]
        last = max(last, first.time)
        yield first if first.time == last else first._replace(time=last)


def route_of(path: str) -> str:
    """A path with its numbers and identifiers replaced, so that the pages of one route count together."""
    return _NUMBER.sub("/{id}", path.partition("?")[0])
