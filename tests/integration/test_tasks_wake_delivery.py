"""Waking the application through a platform that drops, repeats, delays and reorders: the row is the truth."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.migrations import migrate
from fastopp.database.session import Database
from fastopp.features.jobs import drain as drain_module
from fastopp.features.jobs import woken
from fastopp.tasks.clock import from_now
from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.wake_tokens import SCHEME, WakeClaims, WakeRunning, issue_token, read_token, wakes
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.async_platform import AsyncPlatform
from tests.services.ops_project import BEARER, PRODUCTION, settings_of
from tests.services.tasks_project import lines, running_tasks


async def begin(project):
    """A database with tables, and the periodic tasks of the present day done."""
    await migrate.upgrade(project.runtime.database)
    await project.runtime.tasks.drain(timedelta(seconds=30))


@pytest.fixture(params=["sqlite", *only_full("postgresql")])
def url(request, tmp_path):
    return f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else request.getfixturevalue("pooler_url")


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    monkeypatch.setattr(woken, "LOOK_EVERY", 0.05)


async def without_sign_for(seconds: float, database: Database) -> None:
    """Let the last signs of life of all claims be so many seconds old."""
    async with database.autocommit() as connection:
        await connection.execute(update(wakes).values(claimed_at=from_now(-seconds)))


@pytest.fixture
async def platform():
    async with AsyncPlatform() as platform:
        yield platform


def leapcell(platform: AsyncPlatform) -> dict[str, str]:
    return PRODUCTION | {"FASTOPP_PLATFORM": "leapcell", "LEAPCELL_ASYNC_URL": platform.url}


@pytest.fixture
async def project(url, tmp_path, platform):
    async with running_tasks(url, tmp_path, leapcell(platform)) as project:
        await begin(project)
        yield project


@pytest.fixture
async def outside(project):
    """The platform's workers: they know nothing but the requests."""
    async with project.client() as client:
        yield client


@pytest.fixture
async def operator(project):
    async with project.client(headers=BEARER) as client:
        yield client


async def queue(operator, path, text="noted"):
    return (await operator.post("/async/note?enqueue=1", json={"path": str(path), "text": text})).json()["task_id"]


@each_database
async def test_queued_woken_done(project, operator, outside, platform, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "notes"
    await queue(operator, path)
    (wake,) = platform.taken
    assert (wake.method, wake.path) == ("POST", "/async/drain")
    assert wake.headers["authorization"].startswith(f"{SCHEME} ")
    assert wake.body == b""
    assert lines(path) == []
    done = await wake.deliver(outside)
    assert done.status_code == 200, done.text
    assert done.json()["details"]["done"] == 1
    assert lines(path) == ["noted"]
    assert wake.headers["authorization"][5:] not in caplog.text

    # Four more times, at once and one after the other.
    await queue(operator, path, "later")
    again = await asyncio.gather(wake.deliver(outside), wake.deliver(outside))
    again += [await wake.deliver(outside), await wake.deliver(outside)]
    assert [(answer.status_code, answer.json()["status"]) for answer in again] == [(200, "ignored")] * 4
    assert lines(path) == ["noted"]


@each_database
async def test_one_transaction_is_one_wake_and_a_rollback_none(project, outside, platform, tmp_path):
    path = str(tmp_path / "notes")
    async with project.runtime.database.transaction() as session:
        tasks = project.runtime.tasks.within(session)
        for number in range(20):
            await tasks.queue("note", path=path, text=str(number))
        assert platform.taken == []
    assert len(platform.taken) == 1
    with suppress(ZeroDivisionError):
        async with project.runtime.database.transaction() as session:
            await project.runtime.tasks.within(session).queue("note", path=path)
            raise ZeroDivisionError
    assert len(platform.taken) == 1
    assert (await platform.taken[0].deliver(outside)).json()["details"]["done"] == 20


async def test_what_a_drain_queues_it_works_itself(project, operator, outside, platform, tmp_path):
    path = tmp_path / "notes"
    await operator.post("/async/spawns?enqueue=1", json={"path": str(path), "children": 5})
    (wake,) = platform.taken
    assert (await wake.deliver(outside)).json()["details"]["done"] == 6
    assert len(lines(path)) == 5
    assert len(platform.taken) == 1


async def test_a_day_late_or_not_ours(project, operator, outside, platform, tmp_path):
    path = tmp_path / "notes"
    await queue(operator, path)
    settings = project.runtime.settings
    late = issue_token(settings, clock=ManualClock(datetime.now(UTC) - timedelta(days=1)))
    (genuine,) = platform.taken
    forged = genuine.headers["authorization"][5:-2] + "xx"
    for token in (late, forged, "", "x", BEARER["Authorization"][7:]):
        answer = await outside.post("/async/drain", headers={"Authorization": f"{SCHEME} {token}".strip()})
        assert answer.status_code == 401, token
    # It opens this door only.
    for method, address in (("GET", "/async/tasks"), ("POST", "/async/note"), ("GET", "/debug/leapcell")):
        assert (await outside.request(method, address, headers=genuine.headers)).status_code == 401
    assert lines(path) == []
    # What was dropped, somebody else's wake-up brings.
    assert (await operator.post("/async/drain")).json()["details"]["done"] == 1


async def test_a_drain_that_fails_gives_the_token_back(project, operator, outside, platform, tmp_path, monkeypatch):
    path = tmp_path / "notes"
    await queue(operator, path)
    (wake,) = platform.taken

    async def broken(*_: object, **__: object) -> object:
        raise ConnectionError("the database went away")

    with monkeypatch.context() as patched:
        patched.setattr(drain_module, "_work", broken)
        assert (await wake.deliver(outside)).status_code == 500
    assert lines(path) == []
    assert (await wake.deliver(outside)).json()["details"]["done"] == 1
    assert (await wake.deliver(outside)).json()["status"] == "ignored"


@each_database
@pytest.mark.parametrize("interval", [0.3, 60])
async def test_delivered_again_while_it_is_served(project, operator, outside, platform, tmp_path, interval):
    """Beside a drain that gives signs of life it is refused; while that is unknown, it waits."""
    path, gate = tmp_path / "notes", tmp_path / "gate"
    project.runtime.task_process.limits = TaskLimits(heartbeat_interval=interval)
    await operator.post("/async/once-only?enqueue=1", json={"path": str(path), "wait": str(gate)})
    (wake,) = platform.taken
    first = asyncio.create_task(wake.deliver(outside))
    while not lines(path):
        assert not first.done(), first.result().text
        await asyncio.sleep(0.02)
    second = asyncio.create_task(wake.deliver(outside))
    if interval < 1:
        # Neither 2xx nor 4xx: the first one may die, and then this one is the only one left.
        assert (await asyncio.wait_for(second, 60)).status_code == 503
        assert "retry-after" in second.result().headers
    gate.touch()
    assert (await first).status_code == 200
    if interval > 1:
        assert (await second).json()["status"] == "ignored"
    assert (await wake.deliver(outside)).json()["status"] == "ignored"
    assert lines(path) == ["began", "ended"]


@each_database
async def test_frozen_while_it_waits(project, operator, outside, platform, tmp_path, monkeypatch):
    """Another delivery has taken over: the one that was frozen ends, and leaves the claim to that one."""
    path, database = tmp_path / "notes", project.runtime.database
    limits = TaskLimits(heartbeat_interval=0.05)
    project.runtime.task_process.limits = limits
    frozen, thawed, patience = asyncio.Event(), asyncio.Event(), asyncio.Event()
    clock = project.runtime.clock
    sleep = clock.sleep

    async def wait(seconds: float) -> None:
        if asyncio.current_task() in drains:
            patience.set()
            await thawed.wait()
        else:
            await sleep(seconds)

    give_sign = WakeClaims.give_sign

    async def give(claims: WakeClaims, claim: str) -> bool:
        if not frozen.is_set():
            return await give_sign(claims, claim)
        await thawed.wait()
        return await give_sign(claims, claim)

    monkeypatch.setattr(type(clock), "sleep", lambda _, seconds: wait(seconds))
    monkeypatch.setattr(WakeClaims, "give_sign", give)
    await operator.post("/async/fails-first?enqueue=1", json={"path": str(path), "times": 1})
    (wake,) = platform.taken
    drains = {first := asyncio.create_task(wake.deliver(outside))}
    await patience.wait()
    frozen.set()
    await without_sign_for(600, database)
    drains.clear()
    second = asyncio.create_task(wake.deliver(outside))
    assert (await second).json()["details"]["done"] == 1
    thawed.set()
    assert (await first).json()["details"]["done"] == 0
    assert (await wake.deliver(outside)).json()["status"] == "ignored"
    assert len(lines(path)) == 2


async def test_a_retry_soon_is_waited_for(project, operator, outside, platform, tmp_path):
    path = tmp_path / "notes"
    await operator.post("/async/fails-first?enqueue=1", json={"path": str(path), "times": 2})
    (wake,) = platform.taken
    done = await wake.deliver(outside)
    assert done.status_code == 200
    assert (done.json()["details"]["done"], done.json()["details"]["failed"]) == (1, 2)
    assert len(lines(path)) == 3


async def test_the_rest_is_for_another_wake(url, tmp_path, platform):
    path = tmp_path / "notes"
    async with (
        running_tasks(url, tmp_path, leapcell(platform), request_timeout=4) as project,
        project.client(headers=BEARER) as operator,
        project.client() as outside,
    ):
        await begin(project)
        await operator.post("/async/count?enqueue=1", json={"path": str(path), "steps": 30, "pause": 0.1})
        answers = []
        while platform.taken:
            answers.append(await platform.taken.pop(0).deliver(outside))
        assert {answer.status_code for answer in answers} == {200}
        assert [answer.json()["status"] for answer in answers] == ["partial"] * (len(answers) - 1) + ["success"]
        assert len(answers) > 1
    assert lines(path) == [str(number) for number in range(30)]


async def test_a_platform_that_refuses_or_is_away_fails_no_request(url, tmp_path, platform, caplog):
    path = tmp_path / "notes"
    platform.status = 500
    async with (
        running_tasks(url, tmp_path, leapcell(platform)) as project,
        project.client(headers=BEARER) as operator,
    ):
        await begin(project)
        assert await queue(operator, path)
        assert "refused" in caplog.text
        await platform.__aexit__()
        assert await queue(operator, path)
        assert "could not be woken" in caplog.text
        assert (await operator.post("/async/drain")).json()["details"]["done"] == 2


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_bad_platform(project, operator, outside, platform, tmp_path, seed):
    """Of everything delivered badly nothing is done twice; what was dropped, the scheduler's drain finds."""
    path = tmp_path / "notes"
    for number in range(12):
        await queue(operator, path, str(number))
    assert len(platform.taken) == 12
    answers = await platform.deliver_badly(outside, seed=seed)
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert (await operator.post("/async/drain")).status_code == 200
    assert Counter(lines(path)) == Counter(str(number) for number in range(12))
    tasks = (await operator.get("/async/tasks?status=succeeded&name=note")).json()["tasks"]
    assert len(tasks) == 12


async def test_nobody_is_woken_where_a_worker_runs(tmp_path, platform):
    environ = PRODUCTION | {"LEAPCELL_ASYNC_URL": platform.url}
    async with (
        running_tasks(f"sqlite:///{tmp_path}/test.db", tmp_path, environ) as project,
        project.client(headers=BEARER) as operator,
    ):
        await begin(project)
        await queue(operator, tmp_path / "notes")
    assert platform.connections == 0


@each_database
async def test_claims(url, tmp_path, project):
    """Whoever died while serving is waited for until its jobs count as stalled, too."""
    settings = settings_of(url, tmp_path, PRODUCTION)
    clock, database, limits = ManualClock(), project.runtime.database, TaskLimits()
    claims = WakeClaims(database, clock)
    assert claims.dead_after > limits.stalled_after + limits.heartbeat_interval
    wake = read_token(issue_token(settings, clock=clock), settings, clock=clock)
    first = await claims.take(wake)
    assert first
    with pytest.raises(WakeRunning) as running:
        await claims.take(wake)
    await without_sign_for(claims.dead_after - 5, database)
    with pytest.raises(WakeRunning) as later:
        await claims.take(wake)
    assert later.value.sign != running.value.sign
    assert await claims.give_sign(first)
    with pytest.raises(WakeRunning) as again:
        await claims.take(wake)
    assert again.value.sign > later.value.sign
    await without_sign_for(claims.dead_after + 1, database)
    second = await claims.take(wake)
    assert second
    assert second != first
    assert not await claims.give_sign(first)  # it wakes up, and changes nothing
    await claims.release(first)
    await claims.finish(first)
    with pytest.raises(WakeRunning):
        await claims.take(wake)
    await claims.finish(second)
    await without_sign_for(claims.dead_after + 1, database)
    assert await claims.take(wake) is None
    clock.advance((wake.expires_at - clock.now()).total_seconds())
    assert await claims.forget_expired() == 0
    clock.advance(3600)
    assert await claims.forget_expired() == 1


async def test_signs_while_the_database_is_away(project, operator, outside, platform, tmp_path, monkeypatch):
    path, gate = tmp_path / "notes", tmp_path / "gate"
    project.runtime.task_process.limits = TaskLimits(heartbeat_interval=0.02)
    tried: list[str] = []

    async def away(_: WakeClaims, claim: str) -> bool:
        tried.append(claim)
        raise DatabaseUnavailable

    await operator.post("/async/once-only?enqueue=1", json={"path": str(path), "wait": str(gate)})
    (wake,) = platform.taken
    with monkeypatch.context() as patched:
        patched.setattr(WakeClaims, "give_sign", away)
        first = asyncio.create_task(wake.deliver(outside))
        while len(tried) < 2:
            assert not first.done(), first.result().text
            await asyncio.sleep(0.02)
    gate.touch()
    assert (await first).status_code == 200
    assert lines(path) == ["began", "ended"]


@each_database
async def test_one_of_many_claims_it(url, tmp_path, project, platform):
    settings = settings_of(url, tmp_path, PRODUCTION)
    wake = read_token(issue_token(settings), settings)
    database: Database = project.runtime.database

    async def take() -> str | None:
        try:
            return await WakeClaims(database).take(wake)
        except WakeRunning:
            return None

    taken = await asyncio.gather(*(take() for _ in range(10)))
    assert len([claim for claim in taken if claim]) == 1
