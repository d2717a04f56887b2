"""The usage of the traffic: one pass over the requests, for all sizes of memory at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from leapcell_emulator.cost.histogram import Histogram
from leapcell_emulator.cost.instances import Instances
from leapcell_emulator.cost.measurements import MOST_ROUTES, OTHER, Measurements
from leapcell_emulator.cost.request import Request, in_order, route_of
from leapcell_emulator.cost.share import SIZES, share_of, stretched

MONTH: Final = 30 * 86_400.0  # seconds; Fly's prices are for 30 days
GB: Final = 1e9  # bytes of traffic and storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of the platforms that the usage depends on."""

    sizes: tuple[int, ...] = SIZES
    """MB."""
    cold_start: float
    """Seconds that LeapCell adds to a cold start."""
    dormant_after: float
    """Seconds without a request after which LeapCell ends an instance."""
    at_once: int
    """Requests that an instance takes at a time."""
    limit: int
    """Requests in flight that the plan allows."""
    fixed: int | None
    """As many instances as in the emulator; None: as many as are needed."""
    period: float
    """Seconds over which the share of a processor is granted."""
    fly_stop_after: float
    """Seconds without a request after which Fly stops a machine."""
    async_path: str
    """Paths that begin with this are async tasks."""


@dataclass(slots=True)
class Route:
    """The sums of one route, with a whole core."""

    count: int = 0
    processor: float = 0.0
    seconds: float = 0.0
    bytes_out: int = 0


@dataclass(slots=True)
class Size:
    """One size of memory."""

    memory: int
    start: float
    """Seconds of a cold start."""
    instances: Instances
    latency: Histogram = field(default_factory=Histogram)
    waited: float = 0.0
    """Seconds that requests waited for cold starts."""


@dataclass(slots=True)
class Fly:
    """A machine that is started for a request and stopped some time after the last one."""

    stop_after: float
    started: float = 0.0
    """Seconds."""
    starts: int = 0
    _until: float = float("-inf")

    def serve(self, time: float, seconds: float) -> None:
        """Count a request."""
        end = time + seconds + self.stop_after
        if time > self._until:
            self.starts += 1
            self.started += end - time
        else:
            self.started += max(0.0, end - self._until)
        self._until = max(self._until, end)


@dataclass(slots=True)
class Usage:
    """All that the requests used."""

    sizes: list[Size]
    fly: Fly
    routes: dict[str, Route] = field(default_factory=dict)
    requests: int = 0
    async_tasks: int = 0
    bytes_out: int = 0
    processor: float = 0.0
    """Seconds of a whole core, without starts."""
    first: float = 0.0
    last: float = 0.0
    with_seconds: int = 0
    """Requests whose duration the input states."""

    def size(self, memory: int) -> Size:
        """The one of these MB."""
        return next(size for size in self.sizes if size.memory == memory)


def count(requests: Iterable[Request], measured: Measurements, rules: Rules) -> Usage:
    """Serve all requests with each size. Raises `NothingMeasured`."""
    usage = Usage([_make_size(memory, measured, rules) for memory in rules.sizes], Fly(rules.fly_stop_after))
    shares = [share_of(size.memory) for size in usage.sizes]
    for request in in_order(requests):
        if not usage.requests:
            usage.first = request.time
        usage.last = request.time
        usage.requests += 1
        usage.bytes_out += request.bytes_out
        usage.with_seconds += request.seconds is not None
        usage.async_tasks += request.path.startswith(rules.async_path)
        processor, waiting = measured.split(request)
        usage.processor += processor
        _add_route(usage, request, processor, waiting)
        if processor == waiting == 0.0 and request.seconds == 0.0:
            continue  # the gateway refused it
        usage.fly.serve(request.time, processor + waiting)
        for size, share in zip(usage.sizes, shares, strict=True):
            seconds = stretched(processor, share, rules.period) + waiting
            served = size.instances.serve(request.time, seconds)
            if served is not None:
                size.latency.add(served.waited + seconds)
                size.waited += served.waited
    for size in usage.sizes:
        size.instances.finish()
    return usage


def _make_size(memory: int, measured: Measurements, rules: Rules) -> Size:
    processor = measured.start_processor or 0.0
    start = rules.cold_start + measured.start_waiting + stretched(processor, share_of(memory), rules.period)
    instances = Instances(
        start=start,
        dormant_after=rules.dormant_after,
        at_once=rules.at_once,
        limit=rules.limit,
        fixed=rules.fixed,
    )
    return Size(memory, start, instances)


def _add_route(usage: Usage, request: Request, processor: float, waiting: float) -> None:
    name = route_of(request.path)
    if name not in usage.routes and len(usage.routes) >= MOST_ROUTES:
        name = OTHER
    route = usage.routes.setdefault(name, Route())
    route.count += 1
    route.processor += processor
    route.seconds += processor + waiting
    route.bytes_out += request.bytes_out
