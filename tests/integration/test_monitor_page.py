"""/oppman/monitor: the same figures for people and for programs, whatever has been recorded."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import event, text
from sqlmodel import delete

from fastopp.features.monitor import reading
from fastopp.features.monitor.columns import KEY, VALUES
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.page import LOOK, MAX_STREAM, PAGE, Wanted, read_report, watch
from fastopp.features.monitor.periods import DAY, FOUR_HOURS, HOUR, MINUTE
from fastopp.features.monitor.spans import SPANS, window
from fastopp.recording import Key
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.figures import figures, put, put_instances, put_statement, row
from tests.services.ops_project import BEARER, BROWSER, HTMX, Project, initialised, running

url = url_on("sqlite", "psycopg", fill=initialised)
sqlite_url = url_on("sqlite", fill=initialised)

SHELF = Key("request", "/shelf/{id}", "GET", "200")
BROKEN = Key("request", "/shelf/{id}", "GET", "500")
HOSTILE = "/<script>alert(1)</script>\"'&{{ 7*7 }}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url, tmp_path, clock):
    async with running(url, tmp_path, {"MONITOR": "false"}, clock=clock) as project:
        yield project


async def ask(project: Project, **wanted: str):
    async with project.client(headers=BEARER) as client:
        answer = await client.get(PAGE, params=wanted)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def page(project: Project, path: str = PAGE, headers: dict[str, str] = BROWSER, **wanted: str) -> str:
    async with project.client(headers=BEARER) as client:
        answer = await client.get(path, params=wanted, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return answer.text


async def test_the_figures_of_an_hour(project, clock):
    now = int(clock.time()) // MINUTE * MINUTE
    await put(
        project,
        [
            row(SHELF, now, figures(*[0.015] * 90, *[0.3] * 8, queries=200, database_seconds=0.9, bytes=5000)),
            row(BROKEN, now - 10 * MINUTE, figures(1.5, 1.5)),
            row(Key("request", "/shelf/{id}", "GET", "404"), now, figures(0.015)),
            row(SHELF, now - 2 * HOUR, figures(*[9.0] * 50)),
            row(Key("request", "/async/drain", "POST", "200"), now, figures(45.0)),
            row(Key("task", "send", "", "succeeded"), now, figures(0.2, 0.4)),
            row(Key("task", "send", "", "failed"), now, figures(3.0)),
            row(Key("query", "slow", "", ""), now, figures(0.6, 0.9)),
            row(Key("query", "(other)", "", ""), now, figures(0.7)),
            row(Key("instance", "start", "", ""), now, figures(0.8, 1.1)),
            row(Key("instance", "frozen", "", ""), now, figures(120.0)),
        ],
    )
    await put_statement(project, "slow", "SELECT * FROM shelves WHERE id = ?", "shop/routes.py, line 12")
    await put_instances(project, [now, now - 20 * MINUTE, now - 2 * DAY])
    found = await ask(project)
    requests = found["requests"]
    assert (requests["count"], requests["errors"], requests["refused"]) == (101, 2, 1)
    assert requests["error_share"] == pytest.approx(2 / 101)
    assert requests["bounds"]["p50"] == [0.01, 0.02]
    assert 0.01 < requests["p50"] < 0.02
    assert requests["bounds"]["p95"] == [0.2, 0.5]
    assert requests["slowest"] == 1.5  # not the 45 s of the drain, nor what is older than an hour
    assert found["background"]["count"] == 1
    last, older = found["slots"][-1], found["slots"][-11]
    assert (len(found["slots"]), last["since"], last["requests"], last["refused"], last["errors"]) == (
        60,
        now,
        99,
        1,
        0,
    )
    assert (older["requests"], older["errors"], older["p50"]) == (2, 2, 1.25)
    assert found["slots"][-2]["p50"] is None
    assert (last["attempts"], last["failed_attempts"], last["starts"], last["frozen_seconds"]) == (3, 1, 2, 120.0)
    assert [(each["method"], each["route"], each["count"]) for each in found["routes"]] == [
        ("POST", "/async/drain", 1), ("GET", "/shelf/{id}", 101),
    ]  # fmt: skip
    assert found["routes"][1]["statuses"] == {"200": 98, "404": 1, "500": 2}
    [task] = found["tasks"]
    assert (task["task"], task["count"], task["errors"], task["outcomes"]) == (
        "send",
        3,
        1,
        {"failed": 1, "succeeded": 2},
    )
    slow, other = found["statements"]
    assert (slow["statement"], slow["caller"], slow["count"]) == (
        "SELECT * FROM shelves WHERE id = ?", "shop/routes.py, line 12", 2)  # fmt: skip
    assert slow["mean"] == pytest.approx(0.75)
    assert (other["statement"], other["caller"]) == ("(other)", "")
    assert [(each["id"], each["alive"]) for each in found["instances"]] == [("instance-0", True), ("instance-1", False)]
    assert (found["starts"]["count"], found["frozen"]["seconds"]) == (2, 120.0)
    assert found["queue"]["statuses"].get("failed", 0) == 0
    html = await page(project)
    for shown in (
        "/shelf/{id}",
        "SELECT * FROM shelves",
        "shop/routes.py, line 12",
        "instance-1",
        "45 s",
        "2.0 %",
        "send",
    ):
        assert shown in html
    assert "instance-2" not in html
    last_slot = r'<path d="[^"]*M59 ([\d.]+)H60" class="fill-none (stroke-\S+)" stroke-width="[\d.]+"'
    heights = {look: float(y) for y, look in re.findall(last_slot, html)}
    assert heights["stroke-base-content"] > heights["stroke-primary"] >= heights["stroke-error"]  # 50 %, 95 %, 99 %
    fragment = await page(project, headers=HTMX)
    assert fragment.lstrip().startswith('<div id="monitor"')


async def test_a_day_and_a_week_have_what_their_periods_have(project, clock):
    now = int(clock.time())
    await put(
        project,
        [
            row(SHELF, now, figures(0.1)),
            row(SHELF, now - 20 * HOUR, figures(0.1, 0.1)),
            row(SHELF, now - 30 * HOUR, figures(0.1, 0.1, 0.1), FOUR_HOURS),
            row(SHELF, now - 6 * DAY, figures(*[0.1] * 4), FOUR_HOURS),
            row(SHELF, now - 8 * DAY, figures(*[0.1] * 5), FOUR_HOURS),
            row(SHELF, now - 20 * DAY, figures(*[0.1] * 6), DAY),
            row(SHELF, 0, figures(*[0.1] * 21), MINUTE) | {"period": 0},
        ],
    )
    for span, count, slots in (("hour", 1, 60), ("day", 3, 24), ("week", 10, 42)):
        found = await ask(project, span=span)
        assert (found["requests"]["count"], len(found["slots"])) == (count, slots)
        assert sum(slot["requests"] for slot in found["slots"]) == count
        assert found["until"] > now >= found["until"] - found["slot"]


async def test_one_route_and_one_task(project, clock):
    now = int(clock.time())
    other = [Key("request", "/shelf/{id}", "POST", "200"), Key("request", "/other", "GET", "200")]
    drain = Key("request", "/async/drain", "POST", "200")
    task = Key("task", "send & receive", "", "succeeded")
    await put(project, [row(key, now, figures(0.1)) for key in (SHELF, *other, drain, task)])
    found = await ask(project, route="/shelf/{id}", method="GET")
    assert (found["requests"]["count"], len(found["routes"]), found["tasks"]) == (1, 1, [])
    assert (await ask(project, route="/shelf/{id}"))["requests"]["count"] == 2
    assert (await ask(project, route="/async/drain"))["requests"]["count"] == 1  # asked for, so it counts
    # A day is kept for some seconds, but not as the figures of one route.
    for wanted, count in (({}, 3), ({"route": "/other"}, 1), ({}, 3)):
        assert (await ask(project, span="day", **wanted))["requests"]["count"] == count
    html = await page(project)
    address = re.search(r'id="task-1" href="([^"]+)"', html)
    assert address
    assert "task=send+%26+receive" in address[1].replace("&amp;", "&")
    alone = await page(project, task="send & receive")
    assert "Show all" in alone
    assert "/other" not in alone
    assert "No figures" in await page(project, route="/nowhere")


async def test_the_order_of_routes(project, clock):
    now = int(clock.time())
    await put(
        project,
        [
            row(Key("request", "/often", "GET", "200"), now, figures(*[0.01] * 500)),
            row(Key("request", "/slow", "GET", "200"), now, figures(4.0)),
            row(Key("request", "/broken", "GET", "500"), now, figures(0.1)),
        ],
    )
    for sort, first in (("total", "/often"), ("p95", "/slow"), ("count", "/often"), ("errors", "/broken")):
        assert (await ask(project, sort=sort))["routes"][0]["route"] == first


async def test_nothing_recorded_yet(project, sqlite_url, tmp_path):
    html = await page(project)
    assert "Remove <code" in html or "Remove" in html
    assert "MONITOR is false" in html
    found = await ask(project)
    assert found["requests"]["p95"] is None
    assert (found["recorded"], found["routes"], found["instances"], found["partial"]) == (False, [], [], False)
    async with running(sqlite_url, tmp_path) as new:
        async with new.runtime.database.transaction() as session:
            for table in (MonitorFigures, MonitorInstance, MonitorStatement):
                await session.exec(delete(table))
        html = await page(new)
    assert "No figures yet" in html
    assert "MONITOR is false" not in html


async def test_hostile_names_are_shown_as_text(project, clock):
    now = int(clock.time())
    keys = [Key("request", HOSTILE, "GET", "200"), Key("task", HOSTILE, "", "failed"), Key("query", "evil", "", "")]
    await put(project, [row(key, now, figures(0.1)) for key in keys])
    await put_statement(project, "evil", f"SELECT '{HOSTILE}' " + "x" * 400, f"{HOSTILE}.py, line 1")
    await put_instances(project, [now], id="<b>one</b>")
    for html in (await page(project), await page(project, route=HOSTILE), await page(project, task=HOSTILE)):
        assert "<script>alert" not in html
        assert "<b>one" not in html
        assert "{{ 7*7 }}" in html
        # The policy refuses inline styles and handlers.
        assert not re.search(r"\sstyle=|\son\w+=", html)
    assert len((await ask(project, route=HOSTILE))["routes"]) == 1


async def test_the_page_says_what_a_bar_stands_for(project, clock):
    await put(project, [row(Key("request", "/", "GET", "2xx"), int(clock.time()), figures(0.1))])
    for span, slot, bar in (("hour", 60, "a minute"), ("day", 3600, "an hour"), ("week", 14400, "4 hours")):
        assert (await ask(project, span=span))["slot"] == slot
        assert f"each bar for {bar}." in await page(project, span=span)


async def test_for_operators_only(project):
    async with project.client() as visitor:
        for path in (PAGE, f"{PAGE}/storage", f"{PAGE}/events"):
            assert (await visitor.get(path)).status_code == 401
    async with project.signed_in("staff@example.com", "test123") as staff:
        for path in (PAGE, f"{PAGE}/storage", f"{PAGE}/events"):
            assert (await staff.get(path)).status_code == 403
    async with project.signed_in() as admin:
        assert 'href="/oppman/monitor"' in (await admin.get("/oppman/", headers=BROWSER)).text
        for wanted in ({"span": "year"}, {"route": "x" * 256}, {"sort": "name"}):
            assert (await admin.get(PAGE, params=wanted)).status_code == 422


async def test_the_storage_is_counted_once_in_ten_minutes(project, clock):
    folder = project.runtime.settings.upload_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.txt").write_bytes(b"x" * 1500)
    async with project.client(headers=BEARER) as client:
        first = (await client.get(f"{PAGE}/storage")).json()
        assert (first["place"], first["files"], first["bytes"], first["max_files"]) == ("folder", 1, 1500, None)
        assert first["max_bytes"] > 1500
        (folder / "two.txt").write_bytes(b"x")
        assert (await client.get(f"{PAGE}/storage")).json() == first
        clock.advance(601)
        assert (await client.get(f"{PAGE}/storage")).json()["files"] == 2
    assert "1.5 kB" in await page(project, f"{PAGE}/storage", HTMX)
    assert "in 2 files" in await page(project)
    assert "<html" in await page(project, f"{PAGE}/storage")


async def test_a_stream_says_when_there_are_new_figures(project, clock):
    await put_instances(project, [int(clock.time())])
    seen = []

    async def listen() -> None:
        async for state in watch(project.runtime.database, clock):
            seen.append(state)
            async with project.runtime.database.transaction() as session:
                change = "UPDATE monitor_instances SET seen_at = seen_at + 10 WHERE seen_at < :end"
                await (await session.connection()).execute(text(change), {"end": seen[0] + 20})

    await asyncio.wait_for(clock.passing(listen(), LOOK), 60)
    assert seen == [seen[0], seen[0] + 10, seen[0] + 20]
    assert clock.monotonic() == pytest.approx(MAX_STREAM)


async def put_many(project: Project, now: int) -> None:
    """56,000 rows: each of 50 routes in each of the last 1,000 minutes and 120 hours."""
    await put(
        project, [row(Key("request", f"/route/{index}", "GET", "200"), now, figures(0.02, 0.2)) for index in range(50)]
    )
    kept = ", ".join([*KEY, *VALUES])
    async with project.runtime.database.transaction() as session:
        await (await session.connection()).execute(
            text(
                "WITH RECURSIVE numbers (number) AS "
                "(SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < 999) "
                f"INSERT INTO monitor_figures (period, since, {kept}) SELECT period, since - period * number, {kept} "
                "FROM monitor_figures CROSS JOIN numbers WHERE period = 60 OR period = 3600 AND number < 120"
            )
        )


async def test_many_rows_take_few_queries_and_an_index(project, clock, monkeypatch):
    now = int(clock.time())
    await put_many(project, now)
    engine, statements = project.runtime.database.engine, []

    def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
        statements.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    hour = await read_report(project.runtime, window(SPANS["hour"], now), Wanted())
    assert hour["requests"]["count"] == 2 * 60 * 50
    of_hour = [each for each in statements if "monitor_" in each[0]]
    assert len(of_hour) == 6
    day = await read_report(project.runtime, window(SPANS["day"], now), Wanted(span="day"))
    assert (day["requests"]["count"], len(day["routes"]), day["number_of_routes"]) == (2 * 24 * 50, 50, 50)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    async with engine.connect() as connection:
        if project.runtime.database.url.backend == "postgresql":
            await connection.execute(text("ANALYZE monitor_figures"))
        for statement, parameters in of_hour:
            if "monitor_figures" not in statement:
                continue
            explain = "EXPLAIN " if project.runtime.database.url.backend == "postgresql" else "EXPLAIN QUERY PLAN "
            plan = [str(step) for step in await connection.exec_driver_sql(explain + statement, parameters)]
            assert not any("Seq Scan on monitor_figures" in step or "SCAN monitor_figures" in step for step in plan), (
                plan
            )
    monkeypatch.setattr(reading, "MAX_ROWS", 600)
    again = await read_report(project.runtime, window(SPANS["day"], now), Wanted(span="day", sort="count"))
    assert again["requests"] == day["requests"]  # kept for some seconds
    clock.advance(21)
    part = await read_report(project.runtime, window(SPANS["day"], now), Wanted(span="day"))
    assert (part["partial"], part["requests"]["count"]) == (True, 1200)
    assert "more figures than this page reads" in await page(project, span="day")
