"""The monitor as a site runs it: what requests and tasks leave in the database, also through faults."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy import event, text

from fastopp.core.dependencies import SessionDep
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.logs import REQUESTS
from fastopp.recording import current_work
from fastopp.testing.clock import ManualClock
from tests.gate import any_database
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import BEARER, Project, running

FROZEN = {"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00", "MONITOR": "true"}
SERVER = {"MONITOR": "true"}
SECRET = "s3cr3t-0f-4-v1s1t0r"

url = url_on("sqlite", "psycopg", fill=migrated)


@asynccontextmanager
async def site(
    url: str, folder: Any, clock: ManualClock, environ: dict[str, str] | None = None
) -> AsyncIterator[Project]:
    """An application with routes of every kind."""
    async with running(url, folder, FROZEN | (environ or {}), clock=clock) as project:

        @project.app.get("/items/{item}")
        async def item(item: str, request: Request, session: SessionDep) -> dict[str, str]:
            await session.exec(text("SELECT 1"))
            return {}

        @project.app.get("/boom")
        async def boom() -> None:
            raise ZeroDivisionError

        @project.app.get("/many")
        async def many(session: SessionDep) -> dict[str, str]:
            for number in range(12):
                await session.exec(text("SELECT :number AS x"), params={"number": number})
            await session.exec(text("SELECT 'a secret text', 4711 AS y"))
            return {}

        @project.app.get("/stream")
        async def stream() -> StreamingResponse:
            async def pieces() -> AsyncIterator[str]:
                yield "data: 1\n\n"
                clock.advance(100)
                await asyncio.sleep(0.05)
                yield "data: 2\n\n"

            return StreamingResponse(pieces(), media_type="text/event-stream")

        yield project


async def totals(project: Project, kind: str = "request") -> dict[tuple[str, str, str], int]:
    rows = [row for row in await project.all(MonitorFigures) if row.period == 0 and row.kind == kind]
    return {(row.name, row.method, row.outcome): row.count for row in rows}


async def test_requests_are_counted_by_route_and_written_in_time(url, tmp_path):
    clock = ManualClock()
    async with site(url, tmp_path, clock) as project, project.client() as client:
        await client.get("/items/1")
        assert await totals(project) == {("/items/{item}", "GET", "200"): 1}  # the first of an instance at once
        for path in ("/items/2", "/items/3", "/nope"):
            await client.get(path)
        await client.head("/items/4")
        assert await totals(project) == {("/items/{item}", "GET", "200"): 1}
        clock.advance(10)
        await client.post("/items/4")
        assert await totals(project) == {
            ("/items/{item}", "GET", "200"): 3,
            ("/items/{item}", "HEAD", "200"): 1,
            ("/items/{item}", "POST", "405"): 1,
            ("(none)", "GET", "404"): 1,
        }
        await client.get("/healthz")
        clock.advance(1)
        await client.get("/boom")  # an error at once
        await project.runtime.background.idle()  # an answer waits half a second for it at most
        assert (await totals(project))["/boom", "GET", "500"] == 1
        assert all("health" not in name for name, *_ in await totals(project))
        rows = {row.name: row for row in await project.all(MonitorFigures) if row.period == 60 and row.method == "GET"}
        assert rows["/items/{item}"].queries >= 1
        assert rows["/items/{item}"].database_seconds > 0
        assert rows["/items/{item}"].bytes == 2 * rows["/items/{item}"].count
        assert (await totals(project, "instance"))["start", "", ""] == 1
        (instance,) = await project.all(MonitorInstance)
        assert (instance.id, instance.flush) == (project.runtime.recorder.instance, 3)


@any_database
async def test_where_the_process_runs_on_a_flush_follows_the_answer(url, tmp_path):
    async with running(url, tmp_path, SERVER) as project, project.client() as client:
        await client.get("/nope")
        await project.runtime.background.idle()
        assert await totals(project) == {("(none)", "GET", "404"): 1}
        await client.get("/nope")
        database = project.runtime.database
    # The rest was written at the end of the process.
    async with running(url, tmp_path, {"MONITOR": "false"}) as project:
        assert project.runtime.database is not database
        assert await totals(project) == {("(none)", "GET", "404"): 2}


async def test_counts_are_exact_through_faults_of_the_database(url, tmp_path):
    clock, chance = ManualClock(), random.Random(4)
    faults, sent = [True], 0

    def break_some(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if faults[0] and "monitor_" in statement and chance.random() < 0.25:
            raise ConnectionResetError

    async with site(url, tmp_path, clock) as one, site(url, tmp_path, clock) as other:
        for project in (one, other):
            for moment in ("before_cursor_execute", "after_cursor_execute"):  # not written; written, and not known
                event.listen(project.runtime.database.engine.sync_engine, moment, break_some)
        async with one.client() as client, other.client() as second:
            for _ in range(60):
                each = chance.choice((client, second))
                number = chance.randrange(1, 3)
                await asyncio.gather(*(each.get("/items/1") for _ in range(number)))
                sent += number
                clock.advance(61)
                counted = sum((await totals_of(one, faults)).values())
                assert counted <= sent
            faults[0] = False
            for each in (client, second):
                for _ in range(2):
                    clock.advance(61)
                    await each.get("/items/1")
                    sent += 1
    async with site(url, tmp_path, clock) as project:
        assert await totals(project) == {("/items/{item}", "GET", "200"): sent}


async def totals_of(project: Project, faults: list[bool]) -> dict[tuple[str, str, str], int]:
    faults[0] = False
    found = await totals(project)
    faults[0] = True
    return found


async def test_no_answer_waits_for_a_database_that_hangs(url, tmp_path):
    clock = ManualClock()
    async with site(url, tmp_path, clock) as project, project.client() as client:
        await client.get("/nope")
        clock.advance(10)
        began = time.monotonic()
        async with project.runtime.database.engine.begin() as connection:
            if url.startswith("postgresql"):
                await connection.execute(text("LOCK TABLE monitor_instances"))
            assert (await client.get("/nope")).status_code == 404
            assert (await client.get("/nope")).status_code == 404
            assert time.monotonic() - began < 5  # DB_TIMEOUT is 10
        await project.runtime.background.idle()
        clock.advance(61)
        await client.get("/nope")
        assert await totals(project) == {("(none)", "GET", "404"): 4}


@any_database
async def test_nothing_is_recorded_when_it_is_switched_off(url, tmp_path):
    async with site(url, tmp_path, ManualClock(), {"MONITOR": "false"}) as project, project.client() as client:
        seen = []
        project.app.get("/seen")(lambda: seen.append(current_work.get()))
        assert (await client.get("/seen")).status_code == 200
        assert seen == [None]
    async with running(url, tmp_path, {"MONITOR": "false"}) as project:
        assert await project.all(MonitorFigures) == []
        assert await project.all(MonitorInstance) == []


@any_database
async def test_hostile_paths_and_methods_make_few_series_and_store_no_secret(url, tmp_path, caplog):
    clock, chance = ManualClock(), random.Random(7)
    async with site(url, tmp_path, clock) as project, project.client() as client:
        with caplog.at_level(logging.INFO, REQUESTS):
            for number in range(60):
                path = "/x" + "".join(chance.choice("ab/%?#\u00e9'\"<") for _ in range(chance.randrange(1, 60)))
                await client.request(f"M{number}", path)
                await client.get(f"/items/{SECRET}?token={SECRET}&q={SECRET}", headers={"Referer": SECRET})
                await client.get(f"/reset-password?token={SECRET}")
        clock.advance(10)
        await client.get(f"/login?next=/x%3Ftoken%3D{SECRET}")
        counted = await totals(project)
        assert len(counted) < 12
        assert {method for _, method, _ in counted} <= {"GET", "_OTHER"}
        stored = [
            row.model_dump()
            for kind in (MonitorFigures, MonitorStatement, MonitorInstance)
            for row in await project.all(kind)
        ]
        assert SECRET not in str(stored)
    lines = [vars(record) for record in caplog.records if record.name == REQUESTS]
    assert len(lines) >= 180
    assert all(len(line["path"]) <= 500 and "?" not in line["path"] for line in lines)


@any_database
async def test_a_line_says_what_a_request_did(url, tmp_path, caplog):
    async with site(url, tmp_path, ManualClock()) as project, project.client() as client:
        with caplog.at_level(logging.INFO, REQUESTS):
            answer = await client.get("/items/1")
    (line,) = [vars(record) for record in caplog.records if record.name == REQUESTS]
    assert (line["method"], line["path"], line["route"], line["status"]) == ("GET", "/items/1", "/items/{item}", 200)
    assert (line["queries"], line["bytes"], line["user"], line["cold"]) == (1, 2, "", True)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["instance"] == project.runtime.recorder.instance
    assert line["duration_ms"] >= line["db_ms"] > 0


async def test_slow_and_repeated_queries_are_named_with_their_line(url, tmp_path, caplog):
    environ = {"ENVIRONMENT": "development", "SLOW_QUERY_MS": "1", "SLOW_REQUEST_MS": "1"}

    def slow_down(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "secret" in statement:
            time.sleep(0.002)

    clock = ManualClock()
    async with site(url, tmp_path, clock, environ) as project, project.client() as client:
        await client.get("/nope")
        event.listen(project.runtime.database.engine.sync_engine, "before_cursor_execute", slow_down)
        clock.advance(10)
        await client.get("/many")
        statements = {row.text: row.caller for row in await project.all(MonitorStatement)}
        assert statements["SELECT ?, ? AS y"].startswith("tests/integration/test_monitor.py, line ")
        assert "a secret text" not in str(statements)
        assert await totals(project, "query")
    messages = [record.getMessage() for record in caplog.records]
    (repeated,) = [each for each in messages if "the same query" in each]
    assert "GET /many ran the same query 12 times, in tests/integration/test_monitor.py, line " in repeated
    assert any(each.startswith("slow query: ") and each.endswith(": SELECT ?, ? AS y") for each in messages)
    assert any(each.startswith("slow request: GET /many 200 in ") for each in messages)


@any_database
async def test_frozen_time_is_noticed_and_a_stream_is_not_slow(url, tmp_path, caplog):
    clock = ManualClock()
    async with site(url, tmp_path, clock) as project, project.client() as client:
        await client.get("/nope")
        clock.advance(300)
        with caplog.at_level(logging.INFO, REQUESTS):
            await client.get("/nope")
            await client.get("/stream")
        clock.advance(10)
        await client.get("/nope")
        rows = {row.name: row for row in await project.all(MonitorFigures) if row.period == 0}
        assert rows["frozen"].seconds >= 300
        assert rows["/stream"].seconds < 0.05
        (instance,) = await project.all(MonitorInstance)
        assert instance.frozen_seconds == rows["frozen"].seconds
    assert vars(caplog.records[0])["frozen_s"] == 300


async def test_tasks_are_recorded_with_what_they_did(url, tmp_path):
    clock = ManualClock()
    async with site(url, tmp_path, clock) as project, project.client() as client:
        await project.runtime.tasks.queue("clean-up")
        answer = await client.post("/async/drain", headers=BEARER)
        assert answer.json()["details"]["done"] == 1, answer.text
        assert await totals(project, "task") == {("clean-up", "", "succeeded"): 1}
        (row,) = [row for row in await project.all(MonitorFigures) if row.period == 0 and row.kind == "task"]
        assert row.queries > 3
