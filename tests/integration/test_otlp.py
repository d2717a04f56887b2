"""Traces and figures as a collector gets them, and what its faults cost."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Request
from sqlalchemy import text

from fastopp.core import flushing
from fastopp.core.dependencies import RuntimeDep, SessionDep
from fastopp.features.otlp import push
from fastopp.features.otlp.spans import MAX_CALLS
from fastopp.tasks.service import TaskService
from fastopp.testing.clock import ManualClock
from tests.services.collector import Collector, collecting, values_of
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import BEARER, PRODUCTION, Project, running

KEY = "s3cr3t-0f-the-c0llect0r"
SECRET = "s3cr3t-0f-4-v1s1t0r"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"

url = url_on("sqlite", "psycopg", fill=migrated)
sqlite_url = url_on("sqlite", fill=migrated)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine is no fault of the collector's."""
    monkeypatch.setattr(push, "LIMIT", 60.0)
    monkeypatch.setattr(flushing, "PATIENCE", 60.0)


@asynccontextmanager
async def site(
    url: str, folder: Any, collector: Collector, clock: ManualClock, *, frozen: bool = True, **environ: str
) -> AsyncIterator[Project]:
    """A site whose traces go to a collector."""
    own = PRODUCTION | {
        "FASTOPP_PLATFORM": "leapcell" if frozen else "local",
        "MONITOR": "true",
        "TASK_WORKER": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.address}/",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Basic%20{KEY}, x-scope=shop",
        "OTEL_SERVICE_NAME": "shop",
    }
    async with running(url, folder, own | environ, apps=["tests.services.otlp_app"], clock=clock) as project:

        @project.app.get("/items/{item}")
        async def item(item: str, session: SessionDep, runtime: RuntimeDep) -> dict[str, str]:
            await session.exec(text(f"SELECT '{SECRET}', 4711 AS y"))
            await runtime.storage.put("a.txt", b"a", content_type="text/plain")
            return {}

        @project.app.post("/later")
        async def later(runtime: RuntimeDep, many: bool = False) -> dict[str, list[int]]:
            if many:
                return {"jobs": await runtime.tasks.queue_many("add", [{"a": 1}, {"a": 2}])}
            return {"jobs": [(await runtime.tasks.queue("add")).id]}

        @project.app.get("/boom")
        async def boom(request: Request, runtime: RuntimeDep) -> None:
            raise ZeroDivisionError(SECRET + runtime.settings.secret_key.get_secret_value())

        @project.app.get("/many")
        async def many(session: SessionDep) -> dict[str, str]:
            for _ in range(MAX_CALLS + 10):
                await session.exec(text("SELECT 1 AS x"))
            return {}

        yield project


async def test_a_request_is_a_span_with_its_calls_below_and_nothing_secret(url, tmp_path):
    async with collecting() as collector, site(url, tmp_path, collector, ManualClock()) as project:
        async with project.client() as client:
            headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}", "traceparent": TRACEPARENT}
            await client.get(f"/items/{SECRET}?token={SECRET}", headers=headers)
        (request,) = collector.named("GET /items")  # with the answer: no request may follow
        found = values_of(request.attributes)
        assert (found["http.route"], found["http.response.status_code"]) == ("/items/{item}", 200)
        assert found["faas.coldstart"] is True
        assert found["fastopp.request_id"]
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
        (query,) = collector.named("SELECT")
        (call,) = collector.named("storage put")
        for span in (query, call):
            assert (span.parent_span_id, span.trace_id) == (request.span_id, request.trace_id)
            assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
            assert span.end_time_unix_nano <= request.end_time_unix_nano
        assert values_of(query.attributes)["db.query.text"] == "SELECT ?, ? AS y"
        assert values_of(query.attributes)["db.system.name"] in ("sqlite", "postgresql")
        (resource, *_) = collector.resources
        assert resource["service.name"] == "shop"
        assert resource["service.instance.id"] == project.runtime.recorder.instance
        assert b"authorization: basic " + KEY.encode() in collector.headers[0].lower()
        secrets = [SECRET, project.runtime.settings.secret_key.get_secret_value(), "operations-token"]
        for body in collector.bodies:
            assert not any(secret.encode() in body for secret in secrets)
            assert KEY.encode() not in body.partition(b"\r\n\r\n")[2]


async def test_figures_are_sums_since_the_start(sqlite_url, tmp_path):
    clock = ManualClock()
    async with collecting() as collector, site(sqlite_url, tmp_path, collector, clock) as project:
        async with project.client() as client:
            for _ in range(3):
                await client.get("/items/1")
                clock.advance(10)
        (point,) = collector.metrics["http.server.request.duration"].histogram.data_points
        assert (point.count, sum(point.bucket_counts)) == (3, 3)
        assert values_of(point.attributes)["http.route"] == "/items/{item}"
        assert collector.metrics["http.server.request.duration"].histogram.aggregation_temporality == 2  # cumulative
        (calls,) = collector.metrics["fastopp.storage.calls"].sum.data_points
        assert (calls.as_int or calls.as_double) == 3
        assert 0 < point.start_time_unix_nano < point.time_unix_nano


async def test_a_task_is_below_the_request_that_queued_it(url, tmp_path):
    clock = ManualClock()
    async with collecting() as collector, site(url, tmp_path, collector, clock) as project:
        async with project.client(headers=BEARER) as client:
            await client.post("/later", headers={"traceparent": TRACEPARENT})
            await client.post("/later?many=true", headers={"traceparent": TRACEPARENT})
            await client.post("/later", headers={"traceparent": TRACEPARENT[:-1] + "0"})  # not sampled
            clock.advance(10)
            answer = await client.post("/async/drain")
            assert answer.status_code == 200, answer.text
            clock.advance(10)
            await client.get("/items/1")
        first, second = collector.named("POST /later")
        attempts = collector.named("process add")
        drain = next(span for span in collector.named("POST /async"))
        of_traces = [span for span in attempts if span.trace_id.hex() == TRACE]
        assert [span.parent_span_id for span in of_traces] == [first.span_id, second.span_id, second.span_id]
        assert [link.span_id for span in of_traces for link in span.links] == [drain.span_id] * 3
        (alone,) = (span for span in attempts if span not in of_traces)
        assert alone.parent_span_id == drain.span_id
        assert values_of(attempts[0].attributes)["fastopp.outcome"] == "succeeded"
        points = collector.metrics["fastopp.task.attempt.duration"].histogram.data_points
        (point,) = (each for each in points if values_of(each.attributes)["fastopp.task"] == "add")
        assert point.count == 4
        assert project.runtime.tracing is not None
        assert project.runtime.tracing.traceparent() == ""


async def test_a_failed_request_is_an_error_and_sent_at_once(sqlite_url, tmp_path):
    clock = ManualClock()
    async with (
        collecting() as collector,
        site(sqlite_url, tmp_path, collector, clock) as project,
        project.client() as client,
    ):
        await client.get("/nope")
        clock.advance(1)
        assert (await client.get("/boom")).status_code == 500
        (span,) = collector.named("GET /boom")
        assert (span.status.code, values_of(span.attributes)["error.type"]) == (2, "500")
        (nothing,) = (span for span in collector.spans if span.name == "GET")
        assert "http.route" not in values_of(nothing.attributes)
        assert nothing.status.code == 0


async def test_many_calls_are_counted_and_not_sent(sqlite_url, tmp_path):
    async with collecting() as collector, site(sqlite_url, tmp_path, collector, ManualClock()) as project:
        async with project.client() as client:
            await client.get("/many")
        (request,) = collector.named("GET /many")
        assert len(collector.named("SELECT")) == MAX_CALLS
        assert values_of(request.attributes)["fastopp.spans_left_out"] >= 10


async def test_the_sampler_decides(sqlite_url, tmp_path):
    async with collecting() as collector:
        never = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
        async with site(sqlite_url, tmp_path, collector, ManualClock(), **never) as project, project.client() as client:
            await client.get("/items/1")
            assert (collector.spans, [*collector.metrics] != []) == ([], True)
            await client.get("/items/1", headers={"traceparent": TRACEPARENT})
        assert [span.trace_id.hex() for span in collector.named("GET")] == [TRACE]  # at the end of the process


@pytest.mark.parametrize("fault", ["hangs", "refuses", "dead"])
async def test_a_faulty_collector_costs_one_push_a_minute(fault, sqlite_url, tmp_path, monkeypatch, caplog):
    if fault == "hangs":
        monkeypatch.setattr(push, "LIMIT", 0.5)
    clock = ManualClock()
    async with (
        collecting() as collector,
        site(sqlite_url, tmp_path, collector, clock) as project,
        project.client() as client,
    ):
        collector.hangs, collector.status = fault == "hangs", 503
        if fault == "dead":
            await collector.stop()
        assert (await client.get("/items/1")).status_code == 200
        assert "spans are lost" in caplog.text
        sent, dropped = collector.requests, project.runtime.tracing.dropped
        assert sent <= int(fault != "dead")
        assert dropped >= 3
        for _ in range(5):
            clock.advance(10)
            assert (await client.get("/items/1")).status_code == 200
        assert collector.requests == sent
        if fault != "dead":
            collector.hangs, collector.status = False, 200
            clock.advance(15)
            await client.get("/items/1")
            assert len(collector.named("GET /items")) == 6  # those of the pause have waited
            (lost,) = collector.metrics["fastopp.spans.dropped"].sum.data_points
            assert lost.as_int == dropped
            (point,) = collector.metrics["http.server.request.duration"].histogram.data_points
            assert point.count == 7


async def test_an_answer_does_not_wait_for_a_hanging_collector(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.undo()  # the limits as they are
    assert push.LIMIT == 1.0
    assert flushing.PATIENCE < 1.0
    async with collecting() as collector, site(sqlite_url, tmp_path, collector, ManualClock()) as project:
        collector.hangs = True
        async with project.client() as client:
            began = asyncio.get_running_loop().time()
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/items/1")).status_code == 200
            assert project.runtime.flusher.inside
            assert asyncio.get_running_loop().time() - began < 30  # a machine may be busy; httpx alone would wait on
            await project.runtime.background.idle()
        assert project.runtime.tracing.dropped >= 3


async def test_many_spans_are_sent_before_it_is_time(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(push, "BATCH", 5)
    clock = ManualClock()
    async with (
        collecting() as collector,
        site(sqlite_url, tmp_path, collector, clock, frozen=False) as project,
        project.client() as client,
    ):
        for number in range(1, 7):
            await client.get("/nope")
            await project.runtime.background.idle()
            assert len(collector.spans) == (6 if number == 6 else 1)  # the first flush, then five at once


async def test_where_the_process_runs_on_it_sends_beside_answers(sqlite_url, tmp_path):
    async with collecting() as collector:
        async with (
            site(sqlite_url, tmp_path, collector, ManualClock(), frozen=False) as project,
            project.client() as client,
        ):
            collector.hangs = True
            assert (await client.get("/items/1")).status_code == 200
            collector.hangs = False
        # The first push was cancelled with the process, and its spans are lost.
        assert isinstance(project.runtime.tasks, TaskService)


def test_nothing_of_it_is_imported_without_a_collector(tmp_path):
    code = """
import asyncio, sys
from fastopp.core.application import FastOpp
from fastopp.settings import load_settings
async def main():
    asgi = FastOpp(settings=load_settings({"DATABASE_URL": "sqlite+aiosqlite:///x.db", "MONITOR": "true"}))
    async with asgi.running() as app:
        scope = {"type": "http", "method": "GET", "path": "/nope", "raw_path": b"/nope", "query_string": b"",
                 "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("localhost", 80),
                 "scheme": "http", "http_version": "1.1", "root_path": ""}
        async def receive(): return {"type": "http.request", "body": b""}
        async def send(message): pass
        await asgi(scope, receive, send)
        await app.state.runtime.background.idle()
asyncio.run(main())
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "sentry_sdk",
       "google.protobuf", "fastopp.features.otlp.spans", "fastopp.features.sentry."))])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
