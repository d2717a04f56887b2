"""The figures of a process since its start, as OTLP has them: cumulative, with the process as `service.instance.id`.

What could not be sent is part of what is sent next; only the last figures of a process that vanishes are lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from fastopp.memory import resident_memory
from fastopp.recording import BOUNDS, MAX_SERIES, NO_ROUTE, OTHER, REQUEST, Figures, Key
from fastopp.tracing import Done

CUMULATIVE: Final = AggregationTemporality.CUMULATIVE


class Totals:
    """The sums of all finished work of a process."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._began = time.time_ns()
        self._figures: dict[Key, Figures] = {}

    def add(self, work: Done) -> None:
        """Count a finished piece of work."""
        key = Key(work.kind, work.name or NO_ROUTE, work.method, work.outcome)
        if key not in self._figures and len(self._figures) >= MAX_SERIES:
            key = key._replace(name=OTHER)
        self._figures.setdefault(key, Figures()).add(work)  # type: ignore[arg-type] # a Work, which is above `Done`

    def data(self, dropped: int) -> MetricsData:
        """Return the figures as they are now.

        Parameters
        ----------
        dropped: spans that were not sent.
        """
        made = [*self._metrics(time.time_ns(), dropped)]
        scope = ScopeMetrics(InstrumentationScope("fastopp"), made, "")
        return MetricsData([ResourceMetrics(self._resource, [scope], "")])

    def _metrics(self, now: int, dropped: int) -> Iterator[Metric]:
        requests = {key: each for key, each in self._figures.items() if key.kind == REQUEST}
        attempts = {key: each for key, each in self._figures.items() if key.kind != REQUEST}
        if requests:
            what = "Duration of HTTP server requests."
            yield self._histogram("http.server.request.duration", what, _of_request, requests, now)
            bodies = [(_of_request(key), each.bytes) for key, each in requests.items()]
            yield self._sum("fastopp.response.bytes", "By", "Bytes of the bodies of answers.", bodies, now)
        if attempts:
            what = "Duration of the attempts of tasks."
            yield self._histogram("fastopp.task.attempt.duration", what, _of_attempt, attempts, now)
        for name, unit, what, column in (
            ("fastopp.db.queries", "{query}", "Queries.", "queries"),
            ("fastopp.db.seconds", "s", "Seconds of waiting for connections and queries.", "database_seconds"),
            ("fastopp.storage.calls", "{call}", "Calls of the storage.", "storage_calls"),
            ("fastopp.storage.seconds", "s", "Seconds of waiting for the storage.", "storage_seconds"),
        ):
            sums: dict[tuple[str, str], float] = {}
            for key, each in self._figures.items():
                sums[key.kind, key.name] = sums.get((key.kind, key.name), 0) + getattr(each, column)
            values = [({"fastopp.kind": kind, "fastopp.name": of}, value) for (kind, of), value in sums.items()]
            yield self._sum(name, unit, what, values, now)
        yield self._sum("fastopp.spans.dropped", "{span}", "Spans that were not sent.", [({}, dropped)], now)
        if (memory := resident_memory()) is not None:
            point = NumberDataPoint({}, 0, now, memory)
            yield Metric("process.memory.usage", "Resident memory.", "By", Gauge([point]))

    def _histogram(
        self, name: str, what: str, labels: Callable[[Key], dict[str, Any]], rows: Mapping[Key, Figures], now: int
    ) -> Metric:
        points = [
            HistogramDataPoint(
                labels(key), self._began, now, each.count, each.seconds, list(each.buckets), BOUNDS,
                None, each.slowest,  # type: ignore[arg-type] # the least is unknown, and optional in OTLP
            )
            for key, each in rows.items()
        ]  # fmt: skip
        return Metric(name, what, "s", Histogram(points, CUMULATIVE))

    def _sum(self, name: str, unit: str, what: str, rows: Sequence[tuple[dict[str, Any], float]], now: int) -> Metric:
        points = [NumberDataPoint(labels, self._began, now, value) for labels, value in rows]
        return Metric(name, what, unit, Sum(points, CUMULATIVE, is_monotonic=True))


def _of_request(key: Key) -> dict[str, Any]:
    labels: dict[str, Any] = {"http.request.method": key.method, "http.response.status_code": int(key.outcome)}
    if key.name != NO_ROUTE:
        labels["http.route"] = key.name
    return labels


def _of_attempt(key: Key) -> dict[str, Any]:
    return {"fastopp.task": key.name, "fastopp.outcome": key.outcome}
