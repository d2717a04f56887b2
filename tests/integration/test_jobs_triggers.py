"""Starting tasks by HTTP, on SQLite and on PostgreSQL with both drivers: only success is answered with 2xx."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from sqlalchemy import text

from fastopp.features.accounts.models import User
from fastopp.platforms.leapcell import LEAPCELL_MAX_ASYNC_BODY
from fastopp.tasks.worker.worker import run_worker
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import BEARER, LOOPBACK, PRODUCTION
from tests.services.tasks_project import lines, running_tasks

KEYS = {"status", "message", "details", "task_id"}
LEAPCELL = PRODUCTION | {"FASTOPP_PLATFORM": "leapcell"}


async def begin(client):
    """Make the tables, and do the periodic tasks of the present day."""
    assert (await client.post("/async/migrate")).status_code == 200
    await drain(client)


async def drain(client):
    """Do the periodic tasks of the present day."""
    assert (await client.post("/async/drain")).status_code == 200


def own(answer):
    """The ids of the tasks on a page, without FastOpp's own."""
    return [task["id"] for task in answer.json()["tasks"] if task["name"] != "clean-up"]


url = url_on("sqlite", *only_full("psycopg", "asyncpg"))
migrated_url = url_on("sqlite", *only_full("psycopg", "asyncpg"), fill=migrated)


@pytest.fixture
async def client(migrated_url, tmp_path):
    async with running_tasks(migrated_url, tmp_path) as project, project.client(headers=BEARER) as client:
        await drain(client)
        yield client


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
async def sqlite_client(sqlite_url, tmp_path):
    async with running_tasks(sqlite_url, tmp_path) as project, project.client(headers=BEARER) as client:
        await begin(client)
        yield client


async def test_a_task_is_worked_to_its_end(client, tmp_path):
    path = tmp_path / "notes"
    done = await client.post("/async/note", json={"path": str(path), "text": "hello"})
    assert done.status_code == 200, done.text
    assert done.headers["cache-control"] == "no-store"
    answer = done.json()
    assert set(answer) == KEYS
    assert answer["status"] == "success"
    assert answer["details"] == {"lines": 1}
    assert lines(path) == ["hello"]
    task = (await client.get(f"/async/tasks/{answer['task_id']}")).json()
    assert (task["status"], task["name"], task["result"]) == ("succeeded", "note", {"lines": 1})
    # What has succeeded is over: another call is another task.
    again = (await client.post("/async/note", json={"path": str(path)})).json()
    assert again["task_id"] != answer["task_id"]
    assert lines(path) == ["hello", "noted"]


async def test_what_cannot_be_started(client, tmp_path):
    async def status(name, **options):
        return (await client.post(f"/async/{name}", **options)).status_code

    assert await status("no-such-task") == 404
    assert await status("no-such-task?enqueue=1") == 404
    for options in (
        {},
        {"json": {"path": "x", "other": 1}},
        {"json": {"path": {"a": 1}}},
        {"json": []},
        {"json": "x"},
        {"content": b"{"},
        {"content": b"\xff"},
        {"content": b"[" * 100_000},
        {"content": b'{"path": "\\ud800"}'},
        {"json": {"path": "a\x00"}},
        {"content": b'{"path": NaN}'},
        {"data": {"path": "x"}},
    ):
        assert await status("note", **options) == 422, options
        assert await status("note?enqueue=1", **options) == 422, options
    assert await status("note", json={"path": "x" * LEAPCELL_MAX_ASYNC_BODY}) == 413
    assert await status("note", content=b" " * (LEAPCELL_MAX_ASYNC_BODY + 1)) == 413
    assert await status("backup-files") == 409  # no Object Storage
    assert own(await client.get("/async/tasks")) == []
    assert (await client.get("/async/note")).status_code == 405


async def test_only_operators_may(sqlite_url, tmp_path):
    async with running_tasks(sqlite_url, tmp_path) as project:
        async with project.client() as stranger:
            for method, path in (
                ("POST", "note"), ("POST", "init-demo"), ("POST", "drain"), ("GET", "tasks"), ("GET", "tasks/1"),
                ("POST", "tasks/1/cancel"), ("POST", "tasks/1/retry"),
            ):  # fmt: skip
                assert (await stranger.request(method, f"/async/{path}")).status_code == 401, path
        async with project.client(LOOPBACK) as developer:
            assert (await developer.post("/async/init-demo")).status_code == 200
            assert (await developer.post("/async/drain")).status_code == 200
            assert (await developer.get("/async/tasks")).status_code == 200
        async with project.signed_in() as superuser:
            done = await superuser.post("/async/note", json={"path": str(tmp_path / "notes")})
            assert done.status_code == 200
            for headers in ({"x-csrf-token": "guess"}, {"origin": "https://evil.test"}):
                for path in ("note", "drain", "tasks/1/retry"):
                    assert (await superuser.post(f"/async/{path}", headers=headers)).status_code == 403
        async with project.signed_in("staff@example.com", "test123") as staff:
            assert (await staff.post("/async/drain")).status_code == 403
            assert (await staff.get("/async/tasks")).status_code == 403


async def test_queued_and_drained(client, tmp_path):
    path = tmp_path / "notes"
    queued = await client.post("/async/note?enqueue=1", json={"path": str(path)})
    assert queued.status_code == 202, queued.text
    assert set(queued.json()) == KEYS
    assert queued.json()["status"] == "queued"
    where = queued.headers["location"]
    assert where == f"/async/tasks/{queued.json()['task_id']}"
    assert (await client.get(where)).json()["status"] == "waiting"
    preferred = await client.post(
        "/async/once-only", json={"path": str(path)}, headers={"Prefer": "wait=10, respond-async"}
    )
    assert preferred.status_code == 202
    assert preferred.headers["preference-applied"] == "respond-async"
    # Delivered twice: it waits already.
    repeated = await client.post("/async/once-only?enqueue=true", json={"path": str(path)})
    assert repeated.status_code == 202
    assert repeated.json()["task_id"] == preferred.json()["task_id"]
    other = await client.post("/async/once-only?enqueue=true", json={"path": str(path) + "2"})
    assert other.status_code == 409
    assert other.json()["task_id"] == preferred.json()["task_id"]
    assert lines(path) == []

    drained = await client.post("/async/drain")
    assert drained.status_code == 200, drained.text
    assert drained.json()["details"]["done"] == 2
    assert drained.json()["details"]["left"] == 0
    assert (await client.get(where)).json()["status"] == "succeeded"
    assert sorted(lines(path)) == ["began", "ended", "noted"]
    assert (await client.post("/async/drain")).json()["details"]["done"] == 0


async def test_a_drain_succeeds_though_a_task_fails(sqlite_client, tmp_path):
    path = str(tmp_path / "notes")
    await sqlite_client.post("/async/fails?enqueue=1", json={"path": path})
    await sqlite_client.post("/async/note?enqueue=1", json={"path": path})
    drained = await sqlite_client.post("/async/drain?seconds=20")
    assert drained.status_code == 200
    assert (drained.json()["details"]["done"], drained.json()["details"]["failed"]) == (1, 1)
    for seconds in ("0", "-1", "901", "nan", "x"):
        assert (await sqlite_client.post(f"/async/drain?seconds={seconds}")).status_code == 422, seconds


async def test_a_failure_is_no_success(client, tmp_path):
    path = tmp_path / "notes"
    first = await client.post("/async/fails", json={"path": str(path)})
    assert first.status_code == 500, first.text
    answer = first.json()
    assert set(answer) == KEYS
    assert answer["status"] == "error"
    assert "as it should" in answer["details"]["error"]
    # The same call tries the same task again.
    second = await client.post("/async/fails", json={"path": str(path)})
    assert second.status_code == 500
    assert second.json()["task_id"] == answer["task_id"]
    assert lines(path) == ["tried", "tried"]
    other = await client.post("/async/fails", json={"path": f"{path}2"})
    assert other.json()["task_id"] != answer["task_id"]


async def test_what_is_tried_again_asks_for_another_call(client, tmp_path):
    path = tmp_path / "notes"
    first = await client.post("/async/fails-first", json={"path": str(path)})
    assert first.status_code == 503, first.text
    assert int(first.headers["retry-after"]) >= 1
    assert first.json()["status"] == "error"
    assert "try number 1" in first.json()["details"]["error"]
    second = await client.post("/async/fails-first", json={"path": str(path)})
    assert second.status_code == 200, second.text
    assert second.json()["task_id"] == first.json()["task_id"]
    assert second.json()["details"] == {"tries": 2}


async def test_the_time_is_up_and_the_next_call_continues(url, tmp_path):
    path = tmp_path / "notes"
    call = {"path": str(path), "steps": 30, "pause": 0.1}
    clock = ManualClock()
    async with (
        running_tasks(url, tmp_path, request_timeout=4, clock=clock) as project,
        project.client(headers=BEARER) as client,
    ):
        await begin(client)
        answers = []
        for _ in range(10):
            answers.append(await clock.passing(client.post("/async/count", json=call), 0.1))
            if answers[-1].status_code == 200:
                break
            assert answers[-1].status_code == 503, answers[-1].text
            assert answers[-1].json()["status"] == "partial"
            assert answers[-1].headers["retry-after"] == "1"
        assert len(answers) > 1
        assert answers[-1].status_code == 200
        assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert lines(path) == [str(number) for number in range(30)]


async def test_a_drain_whose_time_is_up_asks_for_another(url, tmp_path):
    path, clock = tmp_path / "notes", ManualClock()
    async with (
        running_tasks(url, tmp_path, request_timeout=4, clock=clock) as project,
        project.client(headers=BEARER) as client,
    ):
        await begin(client)
        await client.post("/async/count?enqueue=1", json={"path": str(path), "steps": 30, "pause": 0.1})
        first = await clock.passing(client.post("/async/drain"), 0.1)
        assert first.status_code == 503, first.text
        assert first.json()["status"] == "partial"
        assert first.json()["details"]["left"] == 1
        assert "retry-after" in first.headers
        for _ in range(10):
            if (await clock.passing(client.post("/async/drain"), 0.1)).status_code == 200:
                break
    assert lines(path) == [str(number) for number in range(30)]


@each_database
async def test_the_same_five_times_at_once(client, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    call = {"path": str(path), "wait": str(gate)}
    first = asyncio.create_task(client.post("/async/once-only", json=call))
    while not lines(path):
        assert not first.done(), first.result().text
        await asyncio.sleep(0.02)
    others = await asyncio.gather(*(client.post("/async/once-only", json=call) for _ in range(4)))
    gate.touch()
    done = await first
    assert done.status_code == 200, done.text
    for other in others:
        assert other.status_code == 409, other.text
        assert set(other.json()) == KEYS
        assert other.json()["status"] == "running"
        assert other.json()["task_id"] == done.json()["task_id"]
    assert lines(path) == ["began", "ended"]


@each_database
async def test_five_that_come_in_the_same_moment(client, tmp_path):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    call = {"path": str(path), "wait": str(gate)}
    calls = [asyncio.create_task(client.post("/async/once-only", json=call)) for _ in range(5)]
    refused = [await each for each in itertools.islice(asyncio.as_completed(calls), 4)]
    gate.touch()
    answers = await asyncio.gather(*calls)
    assert [answer.status_code for answer in refused] == [409] * 4
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    assert lines(path) == ["began", "ended"]


@each_database
async def test_a_worker_beside_it_takes_nothing_from_a_trigger(url, tmp_path):
    """It is told of a job as soon as there is one."""
    path = tmp_path / "notes"
    async with running_tasks(url, tmp_path) as project, project.client(headers=BEARER) as client:
        await begin(client)
        stop = asyncio.Event()
        worker = asyncio.create_task(run_worker(project.runtime, concurrency=2, stop=stop))
        await client.post("/async/note?enqueue=1", json={"path": str(path), "text": "by the worker"})
        while not lines(path):
            assert not worker.done()
            await asyncio.sleep(0.02)
        for steps in range(1, 7):
            done = await client.post("/async/count", json={"path": str(path), "steps": steps, "pause": 0.01})
            assert done.status_code == 200, done.text
        stop.set()
        await worker


@each_database
async def test_migrating_makes_its_own_queue(url, tmp_path):
    async with running_tasks(url, tmp_path) as project, project.client(headers=BEARER) as client:
        assert (await client.get("/async/tasks")).status_code == 503
        assert (await client.post("/async/note", json={"path": "x"})).status_code == 503
        assert (await client.post("/async/note?enqueue=1", json={"path": "x"})).status_code == 503
        assert (await client.post("/async/drain")).status_code == 503
        assert (await client.post("/async/migrate", json={"strange": 1})).status_code == 422
        first = await client.post("/async/migrate")
        assert first.status_code == 200, first.text
        assert first.json()["task_id"] is None
        assert "directly" in first.json()["details"]["without_queue"]
        assert first.json()["details"]["applied"][0] == "0001"
        second = await client.post("/async/migrate")
        assert second.status_code == 200, second.text
        assert second.json()["task_id"]
        assert second.json()["details"]["applied"] == []
        assert second.json()["details"]["current"] == first.json()["details"]["current"]


async def test_init_demo_with_and_without_a_queue(url, tmp_path):
    async with running_tasks(url, tmp_path) as project, project.client(headers=BEARER) as client:
        first = await client.post("/async/init-demo")
        assert first.status_code == 200, first.text
        assert first.json()["task_id"] is None
        assert first.json()["details"]["superuser_created"]
        second = await client.post("/async/init-demo")
        assert second.status_code == 200, second.text
        answer = second.json()
        assert answer["task_id"]
        assert answer["message"] == first.json()["message"]
        assert set(answer["details"]) == set(first.json()["details"]) - {"without_queue"}
        assert not answer["details"]["superuser_created"]
        assert answer["details"]["results"][0]["step"] == "Database Initialization"
        task = (await client.get(f"/async/tasks/{answer['task_id']}")).json()
        assert task["done"] == task["total"] == len(answer["details"]["results"])
        assert len(await project.all(User)) == 8


async def test_a_generated_password_is_told_and_not_kept(sqlite_url, tmp_path):
    async with running_tasks(sqlite_url, tmp_path, PRODUCTION) as project, project.client(headers=BEARER) as client:
        await begin(client)
        unheard = await client.post("/async/init-demo?enqueue=1")
        await client.post("/async/drain")
        task = (await client.get(unheard.headers["location"])).json()
        assert task["status"] == "failed"
        assert "SUPERUSER_PASSWORD" in task["error"]
        assert await project.all(User) == []

        told = (await client.post("/async/init-demo")).json()
        password = told["details"]["superuser_password"]
        assert told["task_id"] == task["id"]  # the one that has failed goes on
        async with project.runtime.database.read() as session:
            rows = (await (await session.connection()).execute(text("SELECT * FROM task_runs"))).all()
        assert rows
        assert password not in str(rows)
        assert password not in (await client.get("/async/tasks")).text
        assert "superuser_password" not in (await client.post("/async/init-demo")).json()["details"]
        signed_in = await client.post("/login", data={"username": "admin@example.com", "password": password})
        assert signed_in.status_code == 302


async def test_looking_at_tasks(sqlite_client, tmp_path):
    client, path = sqlite_client, str(tmp_path / "notes")
    ids = [(await client.post("/async/note?enqueue=1", json={"path": path})).json()["task_id"] for _ in range(5)]
    failed = (await client.post("/async/fails", json={"path": path})).json()["task_id"]
    page = await client.get("/async/tasks?limit=4")
    assert own(page) == [failed, *ids[:1:-1]]
    rest = await client.get(f"/async/tasks?limit=4&before={page.json()['next']}")
    assert own(rest) == ids[1::-1]
    assert rest.json()["next"] is None
    for query, expected in (
        ("status=failed", [failed]), ("name=fails", [failed]), ("status=waiting&name=fails", []),
        ("queue=elsewhere", []), ("name=%00", []), ("status=waiting", ids[::-1]),
    ):  # fmt: skip
        assert own(await client.get(f"/async/tasks?{query}")) == expected, query
    for query in ("status=odd", "limit=0", "limit=201", "before=x", f"before={2**63}", "before=0"):
        assert (await client.get(f"/async/tasks?{query}")).status_code == 422, query
    for missing in (10**6, 2**63 - 1):
        assert (await client.get(f"/async/tasks/{missing}")).status_code == 404
        assert (await client.post(f"/async/tasks/{missing}/cancel")).status_code == 404
    assert (await client.get(f"/async/tasks/{2**63}")).status_code == 422


async def test_cancelling_and_trying_again(client, tmp_path):
    path = tmp_path / "notes"
    waiting = (await client.post("/async/note?enqueue=1", json={"path": str(path)})).json()["task_id"]
    cancelled = await client.post(f"/async/tasks/{waiting}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await client.post(f"/async/tasks/{waiting}/cancel")).status_code == 409
    await client.post("/async/drain")
    assert lines(path) == []
    failed = (await client.post("/async/fails", json={"path": str(path)})).json()["task_id"]
    retried = await client.post(f"/async/tasks/{failed}/retry")
    assert (retried.status_code, retried.json()["status"]) == (202, "waiting")
    await client.post("/async/drain")
    assert lines(path) == ["tried", "tried"]
    done = (await client.post("/async/note", json={"path": str(path)})).json()["task_id"]
    assert (await client.post(f"/async/tasks/{done}/retry")).status_code == 409


@each_database
async def test_a_running_one_is_asked_to_stop(client, tmp_path):
    path = tmp_path / "notes"
    running = asyncio.create_task(client.post("/async/count", json={"path": str(path), "steps": 2000, "pause": 0.05}))
    while not lines(path):
        assert not running.done(), running.result().text
        await asyncio.sleep(0.02)
    (task,) = (await client.get("/async/tasks?status=running")).json()["tasks"]
    assert (await client.post(f"/async/tasks/{task['id']}/cancel")).status_code == 200
    done = await running
    assert done.status_code == 409, done.text
    assert done.json()["status"] == "cancelled"
    assert (await client.get(f"/async/tasks/{task['id']}")).json()["status"] == "cancelled"


async def test_as_on_leapcell(pooler_url, tmp_path):
    """Behind a transaction pooler, over TLS, with LeapCell's small pool."""
    path = tmp_path / "notes"
    async with (
        running_tasks(pooler_url, tmp_path, LEAPCELL) as project,
        project.client(headers=BEARER) as client,
    ):
        first = await client.post("/async/init-demo")
        assert first.json()["details"]["superuser_password"]
        await client.post("/async/drain")
        calls = (client.post("/async/note", json={"path": f"{path}{number}"}) for number in range(6))
        assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 6
        for number in range(20):
            await client.post("/async/note?enqueue=1", json={"path": str(path), "text": str(number)})
        drains = await asyncio.gather(*(client.post("/async/drain") for _ in range(4)))
        assert [drain.status_code for drain in drains] == [200] * 4
        assert sum(drain.json()["details"]["done"] for drain in drains) == 20
    assert sorted(lines(path), key=int) == [str(number) for number in range(20)]


async def test_the_documentation_names_them(sqlite_client):
    document = json.loads((await sqlite_client.get("/openapi.json")).text)
    paths = {"/async/init-demo", "/async/{name}", "/async/drain", "/async/tasks", "/async/tasks/{task_id}"}
    assert paths <= document["paths"].keys()
