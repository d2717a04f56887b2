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

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.framework_tables import MONITOR_FIGURES, MONITOR_INSTANCES
from fastopp.features.monitor.columns import BUCKETS, KEY, VALUES
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
    """Rows with the columns of `MonitorFigures`."""
    instances: Sequence[Any]
    """Rows with columns of `MonitorInstance`."""

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
        def each(name: str, what: str, value: Callable[[Any], float | None]) -> Metric:
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
        self.buckets: list[int] = [sum(column) for column in zip(*(_buckets(row) for row in rows), strict=True)]


async def read_totals(session: AsyncSession, now: float) -> KeptFigures:
    """Read the kept figures, without their models: those would cost a cold instance 20 ms. Raises TablesMissing."""
    connection = await session.connection()
    totals = await connection.execute(text(_TOTALS), {"most": MAX_ROWS})
    recent = {"oldest": int(now) - RECENT, "most": MAX_INSTANCES}
    return KeptFigures(totals.all(), (await connection.execute(text(_INSTANCES), recent)).all())


_TOTALS: Final = (
    f"SELECT {', '.join([*KEY, *VALUES])} FROM {MONITOR_FIGURES} "  # noqa: S608 - our own names
    f"WHERE period = 0 AND since = 0 ORDER BY {', '.join(KEY)} LIMIT :most"
)
_INSTANCES: Final = (
    f"SELECT id, memory, memory_limit, connections, connections_limit, started_at, seen_at FROM {MONITOR_INSTANCES} "  # noqa: S608 - as above
    "WHERE seen_at >= :oldest ORDER BY seen_at DESC LIMIT :most"
)


def _buckets(row: Any) -> list[int]:  # noqa: ANN401 - a row, or a sum
    return row.buckets if isinstance(row, _Sum) else [getattr(row, column) for column in BUCKETS]


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
