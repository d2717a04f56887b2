"""A request that is delivered again, and a moment of a time table that comes again, is served once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from fastopp.tasks import idempotency
from fastopp.tasks.idempotency import HEADER, RequestKey
from fastopp.tasks.models import events
from fastopp.tasks.worker.time_table import TimeTable
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.async_platform import AsyncPlatform
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, PRODUCTION
from tests.services.tasks import open_project, run_sql, until
from tests.services.tasks_project import lines, running_tasks

url = url_on("sqlite", *only_full("psycopg", "asyncpg"))


@pytest.fixture
async def site(url, tmp_path):
    async with running_tasks(url, tmp_path) as project, project.client(headers=BEARER) as client:
        assert (await client.post("/async/migrate")).status_code == 200
        assert (await client.post("/async/drain")).status_code == 200
        yield project


@pytest.fixture
async def client(site):
    async with site.client(headers=BEARER) as client:
        yield client


def keyed(key):
    return {HEADER: key}


@each_database
async def test_delivered_twice_in_parallel(client, tmp_path):
    paths = [tmp_path / f"notes-{number}" for number in range(8)]
    bodies = [{"path": str(path), "steps": 4, "pause": 0.4} for path in paths for _ in range(2)]
    answers = await asyncio.gather(*(client.post("/async/count", json=body, timeout=60) for body in bodies))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert [lines(path) for path in paths] == [["0", "1", "2", "3"]] * 8


async def test_delivered_again_after_the_end(client, tmp_path):
    path = tmp_path / "notes"
    first, *again = [
        await client.post("/async/note", json={"path": str(path)}, headers=keyed("order-1")) for _ in range(3)
    ]
    assert first.status_code == 200, first.text
    assert [answer.json() for answer in again] == [first.json()] * 2
    assert lines(path) == ["noted"]
    # A quoted key is the same; another key and no key are other requests.
    await client.post("/async/note", json={"path": str(path)}, headers=keyed('"order-1"'))
    assert len(lines(path)) == 1
    await client.post("/async/note", json={"path": str(path)}, headers=keyed("order-2"))
    await client.post("/async/note", json={"path": str(path)})
    assert len(lines(path)) == 3


@each_database
async def test_many_deliveries_at_once(client, tmp_path):
    path = tmp_path / "notes"
    sent = [client.post("/async/note", json={"path": str(path)}, headers=keyed("order-1")) for _ in range(10)]
    counts = Counter(answer.status_code for answer in await asyncio.gather(*sent))
    assert counts[200] >= 1
    assert counts.keys() <= {200, 409}
    assert lines(path) == ["noted"]


async def test_after_a_failure_the_same_key_runs_again(client, tmp_path):
    path = tmp_path / "notes"

    async def deliver():
        return await client.post("/async/fails-first", json={"path": str(path)}, headers=keyed("order-1"))

    assert (await deliver()).status_code == 503
    done = await deliver()
    assert (done.status_code, done.json()["details"]) == (200, {"tries": 2})
    assert (await deliver()).json() == done.json()
    assert len(lines(path)) == 2
    failed = [await client.post("/async/fails", json={"path": str(path)}, headers=keyed("order-2")) for _ in range(2)]
    assert [answer.status_code for answer in failed] == [500, 500]
    assert len(lines(path)) == 4


async def test_a_key_is_of_one_request(client, tmp_path):
    path = str(tmp_path / "notes")
    assert (await client.post("/async/note", json={"path": path}, headers=keyed("order-1"))).status_code == 200
    for name, body in (("note", {"path": path, "text": "other"}), ("fails", {"path": path}), ("drain", None)):
        assert (await client.post(f"/async/{name}", json=body, headers=keyed("order-1"))).status_code == 422, name
    for key in ("", "two words", "x" * 256, "ü".encode()):
        assert (await client.post("/async/note", json={"path": path}, headers=keyed(key))).status_code == 400, key
    assert lines(tmp_path / "notes") == ["noted"]


@each_database
async def test_queued_once(client, tmp_path):
    path = tmp_path / "notes"

    async def deliver():
        return await client.post("/async/note?enqueue=1", json={"path": str(path)}, headers=keyed("order-1"))

    answers = await asyncio.gather(*(deliver() for _ in range(5)))
    assert (await client.post("/async/drain")).status_code == 200
    answers.append(await deliver())
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.text for answer in answers} == {answers[0].text}
    assert (await client.post("/async/drain")).status_code == 200
    assert lines(path) == ["noted"]


async def test_a_drain_delivered_again(client, site, tmp_path):
    path = tmp_path / "notes"
    await client.post("/async/note?enqueue=1", json={"path": str(path)})
    first = await client.post("/async/drain", headers=keyed("tick-1"))
    assert first.json()["details"]["done"] == 1
    await client.post("/async/note?enqueue=1", json={"path": str(path)})
    again = await client.post("/async/drain", headers=keyed("tick-1"))
    assert (again.status_code, again.json()) == (200, first.json())
    assert len(lines(path)) == 1
    key, database = RequestKey.of("tick-2"), site.runtime.database
    claimed = await idempotency.claim(database, key, "drain")
    running = await client.post("/async/drain", headers=keyed("tick-2"))
    assert (running.status_code, "retry-after" in running.headers) == (409, True)
    await idempotency.finish(database, key, claimed, None)  # it failed
    assert (await client.post("/async/drain", headers=keyed("tick-2"))).json()["details"]["done"] == 1


async def test_keys_are_forgotten_after_a_day(client, site, tmp_path):
    path = tmp_path / "notes"
    task_id = (await client.post("/async/note", json={"path": str(path)}, headers=keyed("order-1"))).json()["task_id"]
    old = datetime.now(UTC) - timedelta(days=400)
    async with site.runtime.database.transaction() as session:
        connection = await session.connection()
        await connection.execute(events.update().values(at=old))
    # Its job is kept for as long as the key.
    assert (await client.post("/async/clean-up")).status_code == 200
    again = await client.post("/async/note", json={"path": str(path)}, headers=keyed("order-1"))
    assert again.json()["task_id"] == task_id
    async with site.runtime.database.transaction() as session:
        connection = await session.connection()
        await connection.execute(idempotency.requests.update().values(claimed_at=datetime.now(UTC) - timedelta(days=2)))
    assert (await client.post("/async/clean-up")).status_code == 200
    assert (await client.get(f"/async/tasks/{task_id}")).status_code == 404
    await client.post("/async/note", json={"path": str(path)}, headers=keyed("order-1"))
    assert len(lines(path)) == 2


async def test_what_makes_the_tables_is_run_once_too(url, tmp_path):
    async with running_tasks(url, tmp_path, PRODUCTION) as project, project.client(headers=BEARER) as client:
        first = await client.post("/async/init-demo", headers=keyed("first-start"))
        assert first.status_code == 200, first.text
        again = await client.post("/async/init-demo", headers=keyed("first-start"))
        # A generated password is kept nowhere.
        kept = first.json()
        assert kept["details"].pop("superuser_password")
        assert again.json() == kept


async def test_what_is_queued_beside_a_single_task_is_woken(url, tmp_path):
    async with AsyncPlatform() as platform:
        leapcell = PRODUCTION | {"FASTOPP_PLATFORM": "leapcell", "LEAPCELL_ASYNC_URL": platform.url}
        async with running_tasks(url, tmp_path, leapcell) as project, project.client(headers=BEARER) as client:
            assert (await client.post("/async/migrate")).status_code == 200
            platform.taken.clear()
            marker = tmp_path / "go-on"
            body = {"path": str(tmp_path / "notes"), "wait": str(marker)}
            running = asyncio.create_task(client.post("/async/once-only", json=body))

            async def woken():
                return bool(platform.taken)

            try:
                await until(woken, 20)
            finally:
                marker.touch()
                await running
            assert {wake.path for wake in platform.taken} == {"/async/drain"}
            assert all(wake.headers["idempotency-key"] for wake in platform.taken)
            names = {task["name"] for task in (await client.get("/async/tasks?status=waiting")).json()["tasks"]}
            assert "clean-up" in names


async def test_a_moment_is_queued_once_after_a_freeze(plain_url):
    """Processes that were frozen for some minutes wake up all at once, and know of their own moments alone."""
    start = datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)

    async def wake_up(minute):
        async with open_project(plain_url, make=False, clock=ManualClock(start + timedelta(minutes=minute))) as project:
            return await TimeTable(project, project.database).queue_due()

    async with open_project(plain_url, make=False) as project:
        for minute in range(0, 50, 5):
            late = (minute + 4, minute + 2, minute + 4, minute, minute + 3)
            assert any(await asyncio.gather(*(wake_up(each) for each in late)))
            assert not await wake_up(minute + 1)
        rows = await run_sql(
            project, "SELECT args FROM procrastinate_jobs WHERE task_name = 'errands.minutely' ORDER BY id"
        )
        moments = [(json.loads(args) if isinstance(args, str) else args)["timestamp"] for (args,) in rows]
        assert moments == sorted(set(moments))
        assert {int((start + timedelta(minutes=each + 4)).timestamp()) - 30 for each in range(0, 50, 5)} <= {*moments}
