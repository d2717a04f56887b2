"""Push spans and figures to the collector: within a time limit, and not again for a while after a failure."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from fastopp.certificates import trusted_certificates
from fastopp.clock import Clock
from fastopp.features.otlp.figures import Totals
from fastopp.features.otlp.queue import SpanQueue
from fastopp.settings import Settings

log = logging.getLogger(__name__)

LIMIT: Final = 1.0  # seconds for all requests of a push, where an answer may wait for it
BESIDE: Final = 5.0  # seconds, where it runs beside answers
PAUSE: Final = 60.0  # seconds after a failure in which nothing is sent
BATCH: Final = 512  # spans of one request
TRACES, METRICS = "/v1/traces", "/v1/metrics"
HEADERS: Final = {"Content-Type": "application/x-protobuf", "User-Agent": "fastopp"}


class Refused(Exception):
    """The collector did not accept a request."""


class Push:
    """Sends what has come, one push at a time."""

    def __init__(self, settings: Settings, clock: Clock, queue: SpanQueue, totals: Totals) -> None:
        self._address = settings.otel_exporter_otlp_endpoint.rstrip("/")
        self._headers = HEADERS | settings.otlp_headers
        self._clock, self._queue, self._totals = clock, queue, totals
        self._limit = BESIDE if settings.platform.background_cpu else LIMIT
        self._paused_until = float("-inf")

    async def run(self) -> None:
        """Send the spans that wait, and the figures. Raises nothing but a cancellation."""
        if self._clock.monotonic() < self._paused_until:
            return
        import httpx  # noqa: PLC0415 - 100 ms that only a process pays that sends something

        spans: list[Any] = []
        try:
            # A new connection: one that is kept may have died while the process was frozen.
            async with (
                asyncio.timeout(self._limit),
                httpx.AsyncClient(
                    verify=await trusted_certificates(), trust_env=False, headers=self._headers
                ) as client,
            ):
                while spans := self._queue.next(BATCH):
                    await self._post(client, TRACES, await asyncio.to_thread(self._encoded, spans))
                figures = self._totals.data(self._queue.dropped)
                await self._post(client, METRICS, await asyncio.to_thread(_encoded_figures, figures))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, Refused) as error:
            self._failed(len(spans), str(error) if isinstance(error, Refused) else type(error).__name__)
        except asyncio.CancelledError:
            self._queue.dropped += len(spans)
            raise

    async def _post(self, client: Any, path: str, body: bytes) -> None:  # noqa: ANN401 - httpx is imported late
        async with client.stream("POST", self._address + path, content=body) as answer:  # its body is not read
            if not answer.is_success:
                raise Refused(f"status {answer.status_code}")

    def _encoded(self, spans: list[Any]) -> bytes:
        body: bytes = encode_spans(self._queue.cleaned(spans)).SerializeToString()
        return body

    def _failed(self, spans: int, reason: str) -> None:
        self._paused_until = self._clock.monotonic() + PAUSE
        self._queue.dropped += spans
        log.warning(
            "The collector has not taken traces and figures, and %d spans are lost: %s", spans, reason,
            extra={"action": "push_failed", "reason": reason, "dropped": spans},
        )  # fmt: skip


def _encoded_figures(figures: Any) -> bytes:  # noqa: ANN401 - a MetricsData
    body: bytes = encode_metrics(figures).SerializeToString()
    return body
