"""A collector on loopback: it takes OTLP and Sentry's envelopes, decodes them, and fails as it is told to."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ANSWER = b"HTTP/1.1 %d Word\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Collector:
    """What has arrived, and how the next requests are answered."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = False
        self.requests = 0
        self.bodies: list[bytes] = []
        """Everything, headers included, for finding what must not be sent."""
        self.headers: list[bytes] = []
        self.spans: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._over = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def named(self, start: str) -> list[Any]:
        """Spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(start)]

    async def stop(self) -> None:
        """Refuse connections from now on."""
        assert self._server is not None
        self._server.close()
        self._over.set()
        await asyncio.gather(*self._answering, return_exceptions=True)
        await self._server.wait_closed()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
            body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            self.requests += 1
            if self.hangs:
                await self._over.wait()
                return
            if self.status == 200:
                self.take(head, gzip.decompress(body) if fields.get(b"content-encoding") == b"gzip" else body)
            writer.write(ANSWER % self.status)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()

    def take(self, head: bytes, body: bytes) -> None:
        self.headers.append(head)
        self.bodies.append(head + body)
        path = head.split(b" ")[1]
        if path == b"/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(values_of(resource.resource.attributes))
                self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        elif path == b"/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {each.name: each for scope in resource.scope_metrics for each in scope.metrics}
        elif path.startswith(b"/api/"):
            lines = body.split(b"\n")
            assert json.loads(lines[1])["type"] == "event"
            self.events.append(json.loads(lines[2]))
        else:
            raise AssertionError(path)


def values_of(attributes: Any) -> dict[str, Any]:
    """The attributes of a message, as a dictionary."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "string_value") for each in attributes}


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector."""
    collector = Collector()
    server = await asyncio.start_server(collector.answer, "127.0.0.1", 0)
    collector._server, collector.port = server, server.sockets[0].getsockname()[1]
    try:
        yield collector
    finally:
        await collector.stop()
