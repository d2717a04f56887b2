"""Advice on the first change: the largest parts of the bill and of the waiting, by figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from leapcell_emulator.cost.measurements import Measurements
from leapcell_emulator.cost.share import share_of, stretched
from leapcell_emulator.cost.usage import GB, Rules, Size, Usage

WORTH: Final = 0.05  # of the whole; less is not worth a word
FREE_TRAFFIC: Final = 2.0  # GB a month, of the free plan
TOO_MANY_COLD: Final = 0.05  # of the requests: then the p95 is a cold start


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change, and the part of the GB-seconds, or of the traffic, that it is about."""

    part: float
    text: str


def cheapest(usage: Usage, measured: Measurements, *, p95: float | None) -> Size | None:
    """Return the size of the fewest GB-seconds that holds the application and meets a p95 in seconds."""
    fitting = [
        size
        for size in usage.sizes
        if (measured.memory or 0) <= size.memory
        and not size.instances.refused
        and (p95 is None or size.latency.quantile(0.95) <= p95)
    ]
    return min(fitting, key=gb_seconds, default=None)


def gb_seconds(size: Size) -> float:
    """Memory times billed seconds."""
    return size.instances.seconds * size.memory / 1024


def what_first(usage: Usage, measured: Measurements, rules: Rules, size: Size, *, factor: float) -> list[Advice]:
    """Return what to change for this size, the largest part first."""
    found = [_cold_starts(usage, size), _slow_route(usage, size, rules), _traffic(usage, factor)]
    if size.memory != (best := min(_holding(usage, measured), key=gb_seconds, default=size)).memory:
        found.append(_memory(size, best))
    return sorted((each for each in found if each is not None), key=lambda each: -each.part)


def _holding(usage: Usage, measured: Measurements) -> list[Size]:
    return [size for size in usage.sizes if (measured.memory or 0) <= size.memory]


def _cold_starts(usage: Usage, size: Size) -> Advice | None:
    instances = size.instances
    cold = instances.cold / max(1, size.latency.count)
    part = size.waited / instances.seconds if instances.seconds else 0.0
    if part < WORTH and cold < TOO_MANY_COLD:
        return None
    why = "; since these are more than 5 %, the p95 is a cold start" if cold > TOO_MANY_COLD else ""
    text = (
        f"Cold starts: {cold:.1%} of the requests wait {size.start:.2f} s, {part:.0%} of the GB-seconds{why}. "
        "Import less at the start, or keep an instance warm with a request by cron every 25 minutes."
    )
    return Advice(part=part, text=text)


def _slow_route(usage: Usage, size: Size, rules: Rules) -> Advice | None:
    share = share_of(size.memory)

    def seconds(name: str) -> float:
        route = usage.routes[name]
        each = stretched(route.processor / route.count, share, rules.period)
        return (each - route.processor / route.count) * route.count + route.seconds

    if len(usage.routes) < 2:
        return None
    slowest = max(usage.routes, key=seconds)
    route, part = usage.routes[slowest], seconds(slowest) / max(size.instances.seconds, 1e-9)
    if part < WORTH:
        return None
    waiting = max(0.0, 1 - route.processor / route.seconds) if route.seconds else 0.0
    text = (
        f"{slowest}: {route.count / usage.requests:.1%} of the requests, {part:.0%} of the GB-seconds; "
        f"{seconds(slowest) / route.count:.2f} s each, of which it waits {waiting:.0%} on a whole core. "
        + ("Wait less: fewer queries, a cache." if waiting > 0.5 else "Compute less, or cache its answer.")
    )
    return Advice(part=min(1.0, part), text=text)


def _memory(size: Size, best: Size) -> Advice | None:
    part = 1 - gb_seconds(best) / gb_seconds(size) if gb_seconds(size) else 0.0
    if part < WORTH:
        return None
    text = (
        f"Memory: {best.memory} MB in place of {size.memory} MB take {part:.0%} fewer GB-seconds, with a p95 of "
        f"{best.latency.quantile(0.95):.2f} s in place of {size.latency.quantile(0.95):.2f} s."
    )
    return Advice(part=part, text=text)


def _traffic(usage: Usage, factor: float) -> Advice | None:
    month = usage.bytes_out * factor / GB
    if month <= FREE_TRAFFIC / 2:
        return None
    largest = max(usage.routes, key=lambda name: usage.routes[name].bytes_out)
    route = usage.routes[largest]
    part = route.bytes_out / usage.bytes_out
    text = (
        f"Traffic: {month:.1f} GB a month, {part:.0%} of them from {largest} "
        f"({route.bytes_out / route.count / 1000:.0f} kB each). Compress it, let browsers keep it, or use a CDN."
    )
    return Advice(part=min(1.0, month / FREE_TRAFFIC - 1) if month > FREE_TRAFFIC else 0.0, text=text)
