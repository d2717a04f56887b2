"""Errors as Sentry gets them, and what its faults cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import Request

from fastopp import report
from fastopp.features.errors.models import ErrorEvent
from fastopp.features.sentry import sending
from fastopp.testing.clock import ManualClock
from tests.services.collector import Collector, collecting
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import BEARER, PRODUCTION, Project, running

KEY = "9f86d081884c7d659a2feaa0c55ad015"
SECRET = "s3cr3t-0f-4-v1s1t0r"

url = url_on("sqlite", fill=migrated)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine is no fault of Sentry's."""
    monkeypatch.setattr(sending, "LIMIT", 60.0)


@asynccontextmanager
async def site(
    url: str, folder: Any, collector: Collector, clock: ManualClock, **environ: str
) -> AsyncIterator[Project]:
    """A site whose errors go to Sentry."""
    own = PRODUCTION | {
        "FASTOPP_PLATFORM": "leapcell",
        "TASK_WORKER": "false",
        "RELEASE": "shop-1.2",
        "SENTRY_DSN": f"http://{KEY}@127.0.0.1:{collector.port}/42",
    }
    async with running(url, folder, own | environ, apps=["tests.services.otlp_app"], clock=clock) as project:
        project.runtime.errors.limit = 60.0

        @project.app.get("/boom/{name}")
        async def boom(name: str, request: Request) -> None:
            password = name
            key = project.runtime.settings.secret_key.get_secret_value()
            raise ValueError(f"{password}, {key}, {request.headers.get('authorization')}, Bearer abcdefghijkl")

        @project.app.get("/caught")
        async def caught() -> dict[str, str]:
            report(KeyError("colour"), cart=7, api_key=SECRET)
            return {}

        yield project


async def test_an_error_arrives_with_its_place_and_without_secrets(url, tmp_path):
    async with collecting() as collector, site(url, tmp_path, collector, ManualClock()) as project:
        async with project.client() as client:
            headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
            answer = await client.get(f"/boom/{SECRET}?token={SECRET}", headers=headers)
        (event,) = collector.events  # with the answer
        (exception,) = event["exception"]["values"]
        assert exception["type"] == "ValueError"
        assert exception["value"].startswith("***, ***, ***")
        assert exception["mechanism"]["handled"] is False
        frame = exception["stacktrace"]["frames"][-1]
        assert (frame["function"], "raise ValueError" in frame["context_line"]) == ("boom", True)
        assert "vars" not in frame
        assert event["tags"] == {
            "kind": "request", "method": "GET", "route": "/boom/{name}", "request_id": answer.headers["X-Request-ID"],
        }  # fmt: skip
        assert (event["transaction"], event["release"], event["level"]) == ("GET /boom/{name}", "shop-1.2", "error")
        assert event["environment"] == "production"
        assert not event.keys() & {"user", "request", "breadcrumbs", "modules"}
        assert KEY.encode() in collector.headers[0]
        settings = project.runtime.settings
        for secret in (SECRET, settings.secret_key.get_secret_value(), "abcdefghijkl", KEY, "203.0.113.9"):
            assert secret not in json.dumps(collector.events)
        assert len(await project.all(ErrorEvent)) == 1  # and here too


async def test_reports_and_tasks_arrive(url, tmp_path):
    async with collecting() as collector, site(url, tmp_path, collector, ManualClock(), ERRORS="false") as project:
        async with project.client(headers=BEARER) as client:
            await client.get("/caught")
            await project.runtime.tasks.queue("add", a=-1)
            await client.post("/async/drain")
        reported, failed = collector.events
        assert (reported["extra"]["cart"], reported["level"]) == (7, "warning")
        assert SECRET not in json.dumps(reported)
        assert (failed["transaction"], failed["tags"]["task"]) == ("add", "add")
        assert failed["extra"]["attempt"] == 1
        assert await project.all(ErrorEvent) == []


@pytest.mark.parametrize("fault", ["hangs", "refuses", "dead"])
async def test_a_faulty_sentry_costs_one_attempt_a_minute(fault, url, tmp_path, monkeypatch, caplog):
    if fault == "hangs":
        monkeypatch.setattr(sending, "LIMIT", 0.5)
    clock = ManualClock()
    async with collecting() as collector, site(url, tmp_path, collector, clock) as project, project.client() as client:
        collector.hangs, collector.status = fault == "hangs", 429
        if fault == "dead":
            await collector.stop()
        for _ in range(5):
            assert (await client.get("/boom/x")).status_code == 500
            clock.advance(11)
        assert collector.requests <= int(fault != "dead")
        assert caplog.text.count("Sentry has not taken errors, and 1 are lost there") == 1
        assert len(await project.all(ErrorEvent)) == 5  # the database is not affected
        if fault != "dead":
            collector.hangs, collector.status = False, 200
            clock.advance(11)
            await client.get("/boom/x")
            assert len(collector.events) == 1


async def test_a_storm_of_errors_is_bounded(url, tmp_path):
    clock = ManualClock()
    async with collecting() as collector, site(url, tmp_path, collector, clock) as project, project.client() as client:
        for _ in range(sending.AT_ONCE + 10):
            await client.get("/boom/x")
        assert len(collector.events) == sending.AT_ONCE


@pytest.mark.parametrize("part", ["Client", "event_of"])
async def test_a_fault_in_it_leaves_the_records_in_the_database(part, url, tmp_path, monkeypatch):
    monkeypatch.setattr(sending, part, None)
    async with collecting() as collector, site(url, tmp_path, collector, ManualClock()) as project:
        async with project.client() as client:
            assert (await client.get("/boom/x")).status_code == 500
        assert collector.requests == 0
        assert len(await project.all(ErrorEvent)) == 1
