"""/oppman/tasks: what it shows, what its forms do, and its stream; on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import timedelta

import pytest

from fastopp.features.accounts.models import AuditLog
from fastopp.features.files import storage_tasks
from fastopp.features.jobs import watch as task_watch
from fastopp.features.setup.seeding import run_full_init
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.ops_project import ADMIN, BEARER, BROWSER, HTMX, Project, initialised, running, settings_of
from tests.services.task_app import write_app

JSON = {"Accept": "application/json"}


url = url_on("sqlite", *only_full("psycopg"), fill=initialised)


@pytest.fixture
def app(tmp_path, monkeypatch) -> str:
    folder = tmp_path / "project"
    monkeypatch.syspath_prepend(folder)
    return write_app(folder, f"chores_{tmp_path.name}".replace("-", "_"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url, app, tmp_path, clock):
    async with running(url, tmp_path, apps=["demo.users", app], clock=clock) as project:
        yield project


async def initialise(project: Project) -> None:
    """Tables and accounts, without a task."""
    report = await run_full_init(project.runtime)
    assert report.success, report


async def drain(project: Project) -> None:
    await project.runtime.tasks.drain(timedelta(seconds=30))


async def test_it_is_for_superusers(project):
    async with project.client() as nobody:
        for path in ("/oppman/tasks", "/oppman/tasks/1", "/oppman/tasks/events"):
            assert (await nobody.get(path)).status_code == 401
        assert (await nobody.get("/oppman/tasks", headers=BROWSER)).status_code in (302, 303, 307)
        for path in ("/oppman/tasks", "/oppman/tasks/work", "/oppman/tasks/1/cancel", "/oppman/tasks/1/retry"):
            assert (await nobody.post(path, data={"name": "add"})).status_code in (401, 403)
        assert (await nobody.post("/oppman/tasks", data={"name": "add"}, headers=BEARER)).status_code == 401
    async with project.signed_in("staff@example.com", "test123") as staff:
        assert (await staff.get("/oppman/tasks")).status_code == 403
        assert (await staff.post("/oppman/tasks", data={"name": "add"})).status_code == 403
    async with project.signed_in() as admin:
        forged = await admin.post("/oppman/tasks/work", headers={"X-CSRF-Token": "made-up"})
        assert forged.status_code == 403


async def test_a_task_from_the_start_to_its_result(project):
    async with project.signed_in() as admin:
        started = await admin.post("/oppman/tasks", data={"name": "add", "args": '{"a": 40}'}, headers=JSON)
        assert started.status_code == 202
        task_id = started.json()["id"]
        assert started.headers["location"] == f"/oppman/tasks/{task_id}"
        assert started.json()["status"] == "waiting"

        card = await admin.get(f"/oppman/tasks/{task_id}", headers=HTMX)
        assert "Waiting for a worker" in card.text
        assert 'hx-trigger="every 1s"' in card.text
        await drain(project)
        card = await admin.get(f"/oppman/tasks/{task_id}", headers=HTMX)
        assert "succeeded" in card.text
        assert "hx-get" not in card.text
        assert card.headers["hx-trigger"] == "task-done"

        page = await admin.get(f"/oppman/tasks/{task_id}", headers=BROWSER)
        assert page.status_code == 200
        assert re.search(r"Result</p><pre[^>]*>42</pre>", page.text)
        facts = (await admin.get(f"/oppman/tasks/{task_id}", headers=JSON)).json()
        assert (facts["status"], facts["result"], facts["args"]) == ("succeeded", 42, {"a": 40})
    assert [row.action for row in await project.all(AuditLog) if row.model_name == "tasks"] == ["queue"]


async def test_what_cannot_be_started(project):
    async with project.signed_in() as admin:
        for form, status in (
            ({"name": "no-such"}, 404),
            ({"name": "needs"}, 422),
            ({"name": "add", "args": '{"c": 1}'}, 422),
            ({"name": "add", "args": "[1]"}, 422),
            ({"name": "add", "args": "{"}, 422),
            ({"name": ""}, 422),
            ({"name": "x" * 200}, 422),
            ({}, 422),
        ):
            assert (await admin.post("/oppman/tasks", data=form, headers=JSON)).status_code == status, form
        shown = await admin.post("/oppman/tasks", data={"name": "needs"}, headers=HTMX | {"HX-Target": "started"})
        assert shown.status_code == 422
        assert shown.headers["hx-retarget"] == "#started"
        assert "what" in shown.text
        for path in (
            "/oppman/tasks/999999",
            "/oppman/tasks/0",
            "/oppman/tasks/99999999999999999999",
            "/oppman/tasks/x",
        ):
            assert (await admin.get(path, headers=JSON)).status_code in (404, 422)
        assert (await admin.post("/oppman/tasks/999999/retry", headers=JSON)).status_code == 404
        assert (await admin.get("/oppman/tasks", headers=JSON)).json()["tasks"] == []


async def test_one_that_may_wait_once_is_shown_instead(project):
    async with project.signed_in() as admin:
        first = (await admin.post("/oppman/tasks", data={"name": "single"}, headers=JSON)).json()
        again = await admin.post("/oppman/tasks", data={"name": "single"}, headers=HTMX)
        assert again.status_code == 200
        assert f'id="task-{first["id"]}"' in again.text
        assert "It is already queued" in again.text
        plain = await admin.post("/oppman/tasks", data={"name": "single"}, headers=BROWSER)
        assert (plain.status_code, plain.headers["location"]) == (303, f"/oppman/tasks/{first['id']}")


async def test_a_failed_one_is_shown_with_its_error_and_retried(project):
    async with project.signed_in() as admin:
        task_id = (await admin.post("/oppman/tasks", data={"name": "break"}, headers=JSON)).json()["id"]
        await drain(project)
        page = await admin.get("/oppman/tasks?status=failed", headers=BROWSER)
        assert "the &lt;b&gt;reason&lt;/b&gt;" in page.text
        assert "<b>reason" not in page.text
        assert f'action="/oppman/tasks/{task_id}/retry"' in page.text
        retried = await admin.post(f"/oppman/tasks/{task_id}/retry", headers=HTMX)
        assert retried.status_code == 200
        assert "waiting" in retried.text
        assert retried.headers["hx-trigger"] == "tasks-changed, work-tasks"
        assert (await admin.get(f"/oppman/tasks/{task_id}", headers=JSON)).json()["status"] == "waiting"
        plain = await admin.post(f"/oppman/tasks/{task_id}/cancel", headers=BROWSER)
        assert (plain.status_code, plain.headers["location"]) == (303, f"/oppman/tasks/{task_id}")
        assert (await admin.get(f"/oppman/tasks/{task_id}", headers=JSON)).json()["status"] == "cancelled"
        assert (await admin.post(f"/oppman/tasks/{task_id}/cancel", headers=JSON)).status_code == 409
        done = await project.runtime.tasks.queue("add")
        await drain(project)
        assert (await admin.post(f"/oppman/tasks/{done.id}/retry", headers=JSON)).status_code == 409
    actions = [row.action for row in await project.all(AuditLog) if row.model_name == "tasks"]
    assert sorted(actions) == ["cancel", "queue", "retry"]


@each_database
async def test_filters_and_pages(project):
    tasks = project.runtime.tasks
    for number in range(30):
        await tasks.queue("add", a=number)
    await tasks.queue("break")
    async with project.signed_in() as admin:
        first = (await admin.get("/oppman/tasks", headers=JSON)).json()
        assert len(first["tasks"]) == 25
        assert first["counts"]["waiting"] == 31
        second = (await admin.get("/oppman/tasks", params={"before": first["older"]}, headers=JSON)).json()
        numbers = [task["id"] for task in first["tasks"] + second["tasks"]]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == len(numbers) >= 31
        assert second["older"] is None

        page = await admin.get(
            "/oppman/tasks", params={"name": "break", "queue": "weak", "status": ""}, headers=BROWSER
        )
        assert page.status_code == 200
        assert page.text.count('id="open-') == 1
        assert '<option value="weak" selected>' in page.text
        nothing = await admin.get("/oppman/tasks?status=running", headers=HTMX)
        assert "None fits the filter" in nothing.text
        assert "<html" not in nothing.text
        for query in ("status=odd", "before=0", "before=x", "before=99999999999999999999", "name=" + "x" * 200):
            assert (await admin.get(f"/oppman/tasks?{query}", headers=JSON)).status_code == 422
        older = await admin.get("/oppman/tasks", headers=BROWSER)
        assert f"before={first['older']}" in older.text


async def test_the_page_offers_what_can_be_started(project):
    async with project.signed_in() as admin:
        page = (await admin.get("/oppman/tasks", headers=BROWSER)).text
        assert '<option value="add">add: Add two numbers.</option>' in page
        assert '<option value="clean-up">' in page
        assert '<option value="needs">' not in page
        assert "tasks.js" in page
        assert 'data-stream="/oppman/tasks/events"' in page
        assert "every 2s" not in page
        assert 'id="work-tasks"' not in page


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_where_nothing_runs_between_requests_the_page_works(request, database, app, tmp_path):
    url = f"sqlite:///{tmp_path}/test.db" if database == "sqlite" else request.getfixturevalue("tls_url")
    environ = {"FASTOPP_PLATFORM": "leapcell", "ENVIRONMENT": "development", "SECRET_KEY": "k" * 40}
    async with running(url, tmp_path, apps=[app]) as local:
        await initialise(local)
    async with (
        running(url, tmp_path, environ, [app]) as project,
        project.signed_in(*ADMIN) as admin,
    ):
        for page in ("/oppman/tasks", "/oppman/", "/oppdemo/"):
            assert 'id="work-tasks"' in (await admin.get(page, headers=BROWSER)).text
        page = (await admin.get("/oppman/tasks", headers=BROWSER)).text
        assert "every 2s" in page
        assert "data-stream" not in page
        assert (await admin.get("/oppman/tasks/events")).status_code == 404
        started = await admin.post("/oppman/tasks", data={"name": "add"}, headers=HTMX)
        assert "work-tasks" in started.headers["hx-trigger"]
        await project.runtime.tasks.queue("break")
        worked = await admin.post("/oppman/tasks/work", headers=HTMX)
        assert worked.status_code == 200
        assert "load" not in worked.text
        counts = (await admin.get("/oppman/tasks", headers=JSON)).json()["counts"]
        assert (counts.get("waiting", 0), counts["failed"]) == (0, 1)
        await project.runtime.tasks.queue("add")
        plain = await admin.post("/oppman/tasks/work", headers=BROWSER)
        assert (plain.status_code, plain.headers["location"]) == (303, "/oppman/tasks")
        await project.runtime.tasks.later(timedelta(seconds=100)).queue("add")
        waits = await admin.post("/oppman/tasks/work", headers=HTMX)
        assert re.search(r"load delay:(99|100)s", waits.text)
        report = (await admin.post("/oppman/tasks/work", headers=JSON)).json()
        assert (report["done"], report["left"]) == (0, 0)
        page = (await admin.get("/oppman/tasks", headers=BROWSER)).text
        assert re.search(r"load delay:\d+s", page), "opened again, it waits all the same"
        scheduled = (await admin.get("/oppman/tasks", params={"status": "scheduled"}, headers=JSON)).json()["tasks"]
        page = (await admin.get(f"/oppman/tasks/{scheduled[0]['id']}", headers=BROWSER)).text
        assert re.search(r"load delay:\d+s", page)
        assert "by the first drain after that" in page


async def test_what_needs_an_object_storage_is_not_offered_without(project):
    async with project.signed_in() as admin:
        page = (await admin.get("/oppman/tasks", headers=BROWSER)).text
        assert '<option value="clean-up">' in page
        for name in storage_tasks.NAMES:
            assert f'<option value="{name}">' not in page
            refused = await admin.post("/oppman/tasks", data={"name": name}, headers=JSON)
            assert refused.status_code == 409
            assert "No Object Storage is set up." in refused.json()["detail"]
        assert (await admin.get("/oppman/tasks", headers=JSON)).json()["tasks"] == []


def test_tasks_that_need_an_object_storage(tmp_path):
    keys = {"S3_ACCESS_KEY": "k" * 20, "S3_SECRET_KEY": "s" * 40, "S3_BUCKET": "bucket"}
    assert storage_tasks.can_run("clean-up", settings_of("sqlite:///x.db", tmp_path))
    assert all(
        storage_tasks.can_run(name, settings_of("sqlite:///x.db", tmp_path, keys)) for name in storage_tasks.NAMES
    )


@each_database
async def test_what_a_watcher_sees(project):
    tasks, database = project.runtime.tasks, project.runtime.database
    async with database.read() as session:
        before = await task_watch.look(session)
    assert before["progress"] == []
    await tasks.queue("slow", steps=3, pause=0.4)
    working = asyncio.create_task(tasks.drain(timedelta(seconds=30)))
    seen, clock = [], ManualClock()  # not the project's, whose budgets it would end

    async def watch():
        async for each in task_watch.watch(database, clock):
            seen.append(each)
            if working.done() and not each["progress"]:
                break

    async with asyncio.timeout(30):
        await clock.passing(watch(), task_watch.INTERVAL)
    await working
    assert all(each["state"] != before["state"] for each in seen)
    shown = [each["progress"][0] for each in seen if each["progress"]]
    assert shown
    assert all(each["total"] in (3, None) for each in shown)
    assert database.engine.pool.checkedout() == 0


@each_database
async def test_a_stream_ends_when_the_database_is_gone(project, clock, monkeypatch):
    async def fails(session):
        from fastopp.database.errors import DatabaseUnavailable

        raise DatabaseUnavailable

    monkeypatch.setattr(task_watch, "look", fails)
    async with asyncio.timeout(10):
        assert [each async for each in task_watch.watch(project.runtime.database, clock)] == []


async def test_the_stream(project, clock):
    await project.runtime.tasks.queue("add")
    async with project.signed_in() as admin:
        answer = await clock.passing(admin.get("/oppman/tasks/events"), task_watch.MAX_STREAM / 5)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = re.findall(r"event: tasks\ndata: (.*)\n", answer.text)
    assert len(events) == 1  # nothing changed meanwhile
    assert json.loads(events[0])["progress"] == []
