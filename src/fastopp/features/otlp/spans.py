"""The spans of a process: of requests, which FastAPI makes, of attempts of tasks, and below them of their calls.

Names and attributes follow OpenTelemetry's conventions: https://opentelemetry.io/docs/specs/semconv/
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, TracerProvider
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fastopp.clock import Clock
from fastopp.core.release_id import release_id
from fastopp.features.otlp import push
from fastopp.features.otlp.figures import Totals
from fastopp.features.otlp.queue import SpanQueue
from fastopp.features.otlp.sampling import sampler_of
from fastopp.recording import NO_ROUTE, REQUEST
from fastopp.settings import Settings
from fastopp.tracing import Done

MAX_CALLS: Final = 200  # spans below one request or attempt; the rest is only counted
TRACEPARENT: Final = "traceparent"
BILLION: Final = 1_000_000_000

SERVER_ERROR: Final = 500
CLIENT_LEFT: Final = "499"  # no status that was sent
FAILED: Final = frozenset({"failed", "retried", "lost"})
"""Outcomes of an attempt that are errors."""


class OtlpTracing:
    """Makes spans, counts figures, and pushes both."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.instance = secrets.token_hex(8)
        self.when_full: Callable[[], object] | None = None
        resource = Resource(
            {
                "service.name": settings.otel_service_name or "fastopp",
                "service.instance.id": self.instance,
                "service.version": release_id(settings, Path.cwd()),
                "deployment.environment.name": settings.environment,
                "cloud.platform": settings.platform.name,
            }
        )
        self._queue = SpanQueue(settings)
        self._totals = Totals(resource)
        self._push = push.Push(settings, clock, self._queue, self._totals)
        self._provider = TracerProvider(sampler_of(settings), resource, shutdown_on_exit=False)
        self._provider.add_span_processor(self._queue)
        self._tracer = self._provider.get_tracer("fastopp")
        self._propagator = TraceContextTextMapPropagator()
        self._database = settings.database.backend

    @property
    def fastapi(self) -> dict[str, Any]:
        """The settings of FastAPI's spans. Its figures and logs are the monitor's and ours."""
        return {
            "tracer_provider": self._provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        }

    @property
    def dropped(self) -> int:
        """Spans that were not sent: too many at once, or the collector was away."""
        return self._queue.dropped

    def request(self) -> SpanTrace | None:
        """Return the trace of the request whose span FastAPI has made current."""
        span = trace.get_current_span()
        return self._of(span) if isinstance(span, Span) and span.is_recording() else None

    @contextmanager
    def attempt(self, name: str, *, job_id: int, attempt: int, traceparent: str) -> Iterator[SpanTrace | None]:
        """Make a span for an attempt: a child of the one that queued the job, and linked to the drain that runs it."""
        context, links = None, []
        if traceparent:
            context = self._propagator.extract({TRACEPARENT: traceparent}, context=Context())
            drain = trace.get_current_span().get_span_context()
            links = [Link(drain)] if drain.is_valid else []
        attributes: dict[str, str | int] = {
            "messaging.system": "procrastinate",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": name,
            "messaging.message.id": str(job_id),
            "fastopp.attempt": attempt,
        }
        span = self._tracer.start_span(
            f"process {name}", context=context, kind=SpanKind.CONSUMER, attributes=attributes, links=links
        )
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield self._of(span) if isinstance(span, Span) and span.is_recording() else None

    def traceparent(self) -> str:
        """Return the current span; empty if it is not sampled."""
        if not trace.get_current_span().get_span_context().trace_flags.sampled:
            return ""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(TRACEPARENT, "")

    def count(self, work: Done) -> None:
        """Count a finished piece of work."""
        self._totals.add(work)
        if self.when_full is not None and len(self._queue) >= push.BATCH:
            self.when_full()

    async def push(self) -> None:
        """Send what has come."""
        await self._push.run()

    def _of(self, span: Span) -> SpanTrace:
        return SpanTrace(span, self._tracer, self._queue, self._database)


class SpanTrace:
    """The span of a request or of an attempt."""

    __slots__ = ("_calls", "_database", "_queue", "_span", "_tracer")

    def __init__(self, span: Span, tracer: trace.Tracer, queue: SpanQueue, database: str) -> None:
        self._span, self._tracer, self._queue, self._database = span, tracer, queue, database
        self._calls = 0

    def query(self, statement: str, seconds: float, error: str = "") -> None:
        """Add a query that has just ended."""
        operation = statement.partition(" ")[0].upper()
        attributes = {
            "db.system.name": self._database,
            "db.operation.name": operation,
            "db.query.text": statement,
        }
        self._add(operation or "query", attributes, seconds, error)

    def call(self, name: str, seconds: float, error: str = "") -> None:
        """Add a call of the storage that has just ended. Its key may say whose file it is, and is left out."""
        self._add(f"storage {name}", {"fastopp.storage.operation": name}, seconds, error)

    def end(self, work: Done, request_id: str = "") -> None:
        """End the span."""
        if self._calls > MAX_CALLS:
            self._span.set_attribute("fastopp.spans_left_out", self._calls - MAX_CALLS)
        if work.kind == REQUEST:
            self._end_request(work, request_id)
            return
        self._span.set_attribute("fastopp.outcome", work.outcome)
        if work.outcome in FAILED:
            self._span.set_attribute("error.type", work.outcome)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _end_request(self, work: Done, request_id: str) -> None:
        """Queue the span of a request as it is now.

        FastAPI ends it when the answer is sent. Then a process that is frozen between requests has flushed already, and
        the span of a request that no other follows would never be sent.
        """
        span, now = self._span, time.time_ns()
        attributes: dict[str, Any] = {**(span.attributes or {}), "fastopp.request_id": request_id}
        if work.cold:
            attributes["faas.coldstart"] = True
        name = work.method
        if work.name not in ("", NO_ROUTE):
            attributes["http.route"], name = work.name, f"{work.method} {work.name}"
        failed = int(work.outcome) >= SERVER_ERROR
        if failed:
            attributes.setdefault("error.type", work.outcome)
        if work.outcome == CLIENT_LEFT:
            attributes["error.type"] = "client_disconnected"
        else:
            attributes["http.response.status_code"] = int(work.outcome)
        ended = ReadableSpan(
            name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes=attributes,
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=Status(StatusCode.ERROR) if failed else span.status,
            # Of a cold start, from when the request came.
            start_time=now - int(work.seconds * BILLION) if work.cold else span.start_time,
            end_time=now,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._queue.take(ended)

    def _add(self, name: str, attributes: Mapping[str, str], seconds: float, error: str) -> None:
        self._calls += 1
        if self._calls > MAX_CALLS:
            return
        now = time.time_ns()
        span = self._tracer.start_span(
            name, kind=SpanKind.CLIENT, attributes=attributes, start_time=now - int(seconds * BILLION)
        )
        if error:
            span.set_attribute("error.type", error)
            span.set_status(StatusCode.ERROR)
        span.end(now)
