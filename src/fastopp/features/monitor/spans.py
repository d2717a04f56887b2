"""The times that the page shows: an hour, a day or a week up to now, in slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fastopp.features.monitor.periods import DAY, FOUR_HOURS, HOUR, MINUTE

SpanName = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time, in seconds."""

    name: SpanName
    seconds: int
    slot: int
    """The length of a bar in charts, which is also the period that is read."""


SPANS: Final[dict[str, Span]] = {
    "hour": Span("hour", HOUR, MINUTE),
    "day": Span("day", DAY, HOUR),
    "week": Span("week", 7 * DAY, FOUR_HOURS),
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
