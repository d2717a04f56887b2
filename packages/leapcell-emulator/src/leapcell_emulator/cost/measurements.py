"""The project's own figures: its cold start, and the seconds and memory of a request. Measured, given, or assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from leapcell_emulator.cost.logs import Found
from leapcell_emulator.cost.request import Request, route_of
from leapcell_emulator.cost.share import share_of, stretched
from leapcell_emulator.documented import MIB
from leapcell_emulator.errors import BadRequest

MOST_ROUTES: Final = 1000
CHOICES: Final = 500
OTHER: Final = "(other routes)"
EMULATED_COLD_START: Final = 0.25  # seconds that LeapCell adds, which are no part of the application's start


class NothingMeasured(BadRequest):
    """Nothing says how long a request takes."""

    hint = "Give `--measured FILE`, a record of `leapcell emulate --record FILE`, or `--processor SECONDS`."


@dataclass(slots=True)
class Mean:
    """Sums of the requests of one route."""

    count: int = 0
    processor: float = 0.0
    waiting: float = 0.0

    def add(self, processor: float, waiting: float) -> None:
        """Count a request. Stops of the processor vary: the waiting of one may be negative, that of all is not."""
        self.count += 1
        self.processor += processor
        self.waiting += waiting

    @property
    def each(self) -> tuple[float, float]:
        """Seconds of a request: of the processor, and waiting."""
        return self.processor / self.count, max(0.0, self.waiting / self.count)


@dataclass(slots=True, kw_only=True)
class Measurements:
    """Seconds are those of a whole core like the one that was measured."""

    start_processor: float | None = None
    start_waiting: float = 0.0
    """Seconds of a start in which it does not need the processor, without those that the platform adds."""
    processor: float | None = None
    """Of a request."""
    waiting: float | None = None
    """Seconds of a request in which it waits: for the database, for others."""
    memory: float | None = None
    """MB of an instance."""
    routes: dict[str, Mean] = field(default_factory=dict)
    assumed: list[str] = field(default_factory=list)
    """All that was neither measured nor given, as sentences."""
    period: float = 0.0
    """Seconds over which the platform grants the share of a processor."""

    def split(self, request: Request) -> tuple[float, float]:
        """Return the seconds in which a request needs the processor, and those in which it waits."""
        route = self.routes.get(route_of(request.path)) if self.routes else None
        processor, waiting = route.each if route else (self.processor, self.waiting)
        if request.processor is not None and request.seconds is not None:
            if waiting is None or request.seconds == 0.0:
                waiting = max(0.0, _waiting(request, self.period))
            return request.processor, waiting
        if request.seconds is not None:
            processor = request.seconds if processor is None else min(processor, request.seconds)
            return processor, request.seconds - processor
        if processor is None:
            raise NothingMeasured
        return processor, waiting or 0.0

    def choices(self) -> list[tuple[float, float]]:
        """Return the two times of some hundred requests, each route as often as its share."""
        if not self.routes:
            return [(self.processor or 0.0, self.waiting or 0.0)]
        total = sum(route.count for route in self.routes.values())
        return [
            route.each for route in self.routes.values() for _ in range(max(1, round(CHOICES * route.count / total)))
        ]


def measure(requests: Iterable[Request], found: Found, *, period: float) -> Measurements:
    """Return the figures of a record."""
    measured = Measurements(period=period)
    total = Mean()
    memory = 0
    for request in requests:
        if request.processor is None or request.seconds is None or request.status in (429, 502, 503):
            continue
        waiting = _waiting(request, period)
        name = route_of(request.path)
        if name not in measured.routes and len(measured.routes) >= MOST_ROUTES:
            name = OTHER
        measured.routes.setdefault(name, Mean()).add(request.processor, waiting)
        total.add(request.processor, waiting)
        memory = max(memory, request.memory or 0)
    if total.count:
        measured.processor, measured.waiting = total.each
    if memory:
        measured.memory = memory / MIB
    if found.starts:
        starts = Mean()
        for seconds, processor, size, limited in found.starts:
            starts.add(processor, seconds - stretched(processor, share_of(size) if limited else 1.0, period))
        measured.start_processor, measured.start_waiting = starts.each
    return measured


def _waiting(request: Request, period: float) -> float:
    """Return the seconds in which a request with both times did not need the processor."""
    assert request.processor is not None and request.seconds is not None  # noqa: S101, PT018 - the callers look
    return request.seconds - stretched(request.processor, request.busy_share, period)


def complete(
    measured: Measurements,
    *,
    start: float | None = None,
    processor: float | None = None,
    waiting: float | None = None,
    memory: float | None = None,
    durations_known: bool = False,
) -> Measurements:
    """Let the options win, and say what is still assumed. Raises `NothingMeasured`."""
    if start is not None:
        measured.start_processor, measured.start_waiting = start, 0.0
    if processor is not None or waiting is not None:
        measured.routes = {}
        measured.processor = processor if processor is not None else (measured.processor or 0.0)
        measured.waiting = waiting if waiting is not None else (measured.waiting or 0.0)
    if memory is not None:
        measured.memory = memory
    if measured.processor is None:
        if not durations_known:
            raise NothingMeasured
        measured.assumed.append(
            "All of a request's time is processor time, so that more memory shortens all of it (--processor)."
        )
    if measured.start_processor is None:
        measured.start_processor = 0.0
        measured.assumed.append(
            f"The application itself starts in no time; a cold start takes the {EMULATED_COLD_START:g} s that LeapCell "
            "adds (--cold-start)."
        )
    if measured.memory is None:
        measured.assumed.append("The application fits into every size (--memory-used).")
    return measured
