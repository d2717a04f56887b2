"""The kept figures in the shape of prometheus-client's collectors.

Names follow Prometheus, and OpenTelemetry's conventions where they have one:
https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.monitor.models import TOTAL, MonitorFigures, MonitorInstance
from fastopp.recorder import FROZEN, START
from fastopp.recording import BOUNDS, INSTANCE, QUERY, REQUEST, TASK

if TYPE_CHECKING:
    from prometheus_client import Metric

MAX_ROWS: Final = 10_000  # series that are shown, the first by name
RECENT: Final = 300  # seconds since its last flush for which an instance is shown
MAX_INSTANCES: Final = 200  # the newest
INSTANCE_LABEL: Final = "service_instance_id"  # not `instance`, which Prometheus sets itself

_HTTP: Final = ("http_request_method", "http_route", "http_response_status_code")
_OF_WORK: Final = ("kind", "name")

Numbers = Sequence[float]


@dataclass(frozen=True, slots=True, eq=False)  # prometheus-client keeps collectors by their identity
class KeptFigures:
    """The totals of all instances, and the instances that were seen a short time ago."""

    totals: Sequence[Any]
    """Rows of `MonitorFigures`."""
    instances: Sequence[MonitorInstance]

    def collect(self) -> Iterator[Metric]:
        """Collect the metrics; called by prometheus-client."""
        by_kind: dict[str, list[Any]] = defaultdict(list)
        for row in self.totals:
            by_kind[row.kind].append(row)
        requests = [((row.method, row.name, row.outcome), row) for row in by_kind[REQUEST]]
        yield _histogram("http_server_request_duration_seconds", "Seconds that requests took.", _HTTP, requests)
        yield _counter(
            "http_server_response_body_bytes", "Bytes of the bodies of answers, as they were sent.", _HTTP,
            ((labels, row.bytes) for labels, row in requests),
        )  # fmt: skip
        attempts = [((row.name, row.outcome), row) for row in by_kind[TASK]]
        yield _histogram("tasks_attempt_duration_seconds", "Seconds that attempts took.", ("task", "outcome"), attempts)
        yield from self._of_work([*by_kind[REQUEST], *by_kind[TASK]])
        slow = [((), _Sum(by_kind[QUERY]))] if by_kind[QUERY] else []
        yield _histogram("db_slow_query_duration_seconds", "Seconds that slow queries took.", (), slow)
        for name, series, what in (
            ("instance_start_duration_seconds", START, "Seconds from the start of a process to its first answer."),
            ("instance_frozen_duration_seconds", FROZEN, "Seconds for which processes were frozen at a time."),
        ):
            yield _histogram(name, what, (), [((), row) for row in by_kind[INSTANCE] if row.name == series])
        yield from self._of_instances()

    def _of_work(self, rows: Iterable[Any]) -> Iterator[Metric]:
        """Collect what requests and tasks used, by route and by task."""
        sums: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in rows:
            sums[row.kind, row.name].append(row)

        def counter(name: str, column: str, what: str) -> Metric:
            values = ((labels, sum(getattr(row, column) for row in rows)) for labels, rows in sums.items())
            return _counter(name, what, _OF_WORK, values)

        yield counter("db_queries", "queries", "Queries.")
        yield counter("db_query_seconds", "database_seconds", "Seconds of waiting for connections and queries.")
        yield counter("storage_calls", "storage_calls", "Calls of the storage.")
        yield counter("storage_call_seconds", "storage_seconds", "Seconds of waiting for the storage.")
        yield counter("work_processor_seconds", "processor_seconds", "Processor seconds, where they are known.")
        yield counter("work_processor_samples", "processor_count", "Requests and attempts where they are known.")

    def _of_instances(self) -> Iterator[Metric]:
        def each(name: str, what: str, value: Callable[[MonitorInstance], float | None]) -> Metric:
            rows = (((one.id,), number) for one in self.instances if (number := value(one)) is not None)
            return _gauge(name, what, (INSTANCE_LABEL,), rows)

        yield each("instance_memory_bytes", "Resident memory.", lambda one: one.memory)
        yield each("instance_memory_limit_bytes", "Memory that it may use.", lambda one: one.memory_limit)
        yield each("instance_db_connections", "Open connections to the database.", lambda one: one.connections)
        yield each("instance_db_connections_limit", "The most it may open.", lambda one: one.connections_limit)
        yield each("instance_started_timestamp_seconds", "Its start, since 1970.", lambda one: one.started_at)
        yield each("instance_seen_timestamp_seconds", "Its last flush, since 1970.", lambda one: one.seen_at)


class _Sum:
    """The histograms of several rows together."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.seconds = sum(row.seconds for row in rows)
        self.buckets = [sum(column) for column in zip(*(_buckets(row) for row in rows), strict=True)]


async def read_totals(session: AsyncSession, now: float) -> KeptFigures:
    """Read the kept figures. Raises TablesMissing."""
    order = (MonitorFigures.kind, MonitorFigures.name, MonitorFigures.method, MonitorFigures.outcome)
    totals = select(MonitorFigures).where(MonitorFigures.period == TOTAL).order_by(*order).limit(MAX_ROWS)
    recent = select(MonitorInstance).where(col(MonitorInstance.seen_at) >= int(now) - RECENT)
    recent = recent.order_by(col(MonitorInstance.seen_at).desc()).limit(MAX_INSTANCES)
    return KeptFigures((await session.exec(totals)).all(), (await session.exec(recent)).all())


def _buckets(row: Any) -> list[int]:  # noqa: ANN401 - a MonitorFigures, or a sum
    found: list[int] = row.buckets
    return found


def _histogram(
    name: str, what: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], Any]]
) -> Metric:  # fmt: skip
    from prometheus_client.metrics_core import HistogramMetricFamily  # noqa: PLC0415 - only for who asks

    bounds = [*map(str, BOUNDS), "+Inf"]
    family = HistogramMetricFamily(name, what, labels=labels)
    for values, row in rows:
        counted = list(zip(bounds, accumulate(_buckets(row)), strict=True))
        family.add_metric(values, buckets=counted, sum_value=row.seconds)
    return family


def _counter(name: str, what: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily  # noqa: PLC0415 - only for who asks

    family = CounterMetricFamily(name, what, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _gauge(name: str, what: str, labels: Sequence[str], rows: Iterable[tuple[Sequence[str], float]]) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily  # noqa: PLC0415 - only for who asks

    family = GaugeMetricFamily(name, what, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family
