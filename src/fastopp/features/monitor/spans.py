"""The times that the page shows: an hour, a day or a week up to now, in slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fastopp.features.monitor.models import DAY, HOUR, MINUTE

SpanName = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time, in seconds."""

    name: SpanName
    seconds: int
    slot: int
    """The length of a bar in charts: a multiple of the longest period in `periods`, and a divisor of a day."""
    periods: tuple[int, ...]
    """The periods that hold its figures. Minutes are kept for 25 hours, then they are part of hours."""


SPANS: Final[dict[str, Span]] = {
    "hour": Span("hour", HOUR, MINUTE, (MINUTE,)),
    "day": Span("day", DAY, 30 * MINUTE, (MINUTE,)),
    "week": Span("week", 7 * DAY, 4 * HOUR, (MINUTE, HOUR)),
}


@dataclass(frozen=True, slots=True)
class Window:
    """A span that ends with the present slot. Times are in seconds since 1970."""

    span: Span
    since: int
    until: int

    def slots(self) -> Iterator[int]:
        """Yield the beginning of each slot."""
        yield from range(self.since, self.until, self.span.slot)


def window(span: Span, now: float) -> Window:
    """Return the span up to now."""
    until = (int(now) // span.slot + 1) * span.slot
    return Window(span, until - span.seconds, until)
