"""Alerts from what is measured to the message that arrives: once, and once more when it is over."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import col, delete

from fastopp.core import flushing
from fastopp.features.alerts import evaluation, incidents, leases
from fastopp.features.alerts.defaults import DEFAULTS
from fastopp.features.alerts.delivery import Limits, WebhookDelayed, WebhookRefused, deliver
from fastopp.features.alerts.messages import Message
from fastopp.features.alerts.models import AlertIncident, RuleState
from fastopp.features.alerts.names import SEND
from fastopp.features.alerts.rules import NEW_ERROR
from fastopp.features.database_backups.stored import new_key
from fastopp.features.health import probes
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance
from fastopp.features.monitor.periods import HOUR, MINUTE
from fastopp.recording import REQUEST, TASK
from fastopp.settings.alerting import Webhook
from fastopp.storage.select import backup_storage
from fastopp.tasks.worker import worker
from fastopp.tasks.worker.worker import worker_in_background
from fastopp.testing import ManualClock
from tests.gate import any_database
from tests.services.alert_app.state import State
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, BROWSER, PRODUCTION, Project, initialised, running, settings_of
from tests.services.s3 import ACCESS_KEY, SECRET_KEY
from tests.services.webhook_server import HUGE, WebhookServer, webhook_server

APPS = ["tests.services.alert_app", "tests.services.error_app"]
KEY = "a-key-that-signs-messages-of-tests"
BUDGET = timedelta(seconds=20)
WEEK = 7 * 24 * 3600

url = url_on("sqlite", "psycopg", fill=initialised)
sqlite_url = url_on("sqlite", fill=initialised)


@pytest.fixture
async def hook():
    async with webhook_server() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def _well(monkeypatch) -> None:
    """Begin without incidents, and wait for a busy machine."""
    monkeypatch.setattr(evaluation, "EACH", 60.0)
    monkeypatch.setattr(probes, "TIME_LIMIT", 50.0)
    for name in ("healthy", "stock", "broken"):
        monkeypatch.setattr(State, name, getattr(State, name))


def environ(hook: WebhookServer, **more: str) -> dict[str, str]:
    own = {"ALERT_WEBHOOKS": hook.url(), "ALERT_WEBHOOK_SECRET": KEY, "SITE_URL": "http://site.test"}
    return own | {"MONITOR": "true"} | more


@pytest.fixture
async def project(url, tmp_path, hook, clock):
    async with running(url, tmp_path, environ(hook), APPS, clock=clock) as project:
        project.runtime.errors.limit = 60
        yield project


async def turn(project: Project, clock: ManualClock, seconds: float = 30.0) -> None:
    """Let half a minute pass, evaluate and work the queue, as a drain does."""
    clock.advance(seconds)
    if not await evaluation.evaluate(project.runtime):
        await project.runtime.background.idle()  # a flush was faster
    await project.runtime.tasks.drain(BUDGET)


def told(hook: WebhookServer) -> Counter[tuple[str, str]]:
    """Return how often each message came: its rule and its event."""
    return Counter(
        (each.json["data"].get("rule", ""), each.json["type"].removeprefix("alert.")) for each in hook.received
    )


def figures(clock: ManualClock, kind: str, outcome: str, count: int, bucket: int, period: int = MINUTE, ago: int = 0):
    since = (int(clock.time()) - ago) // period * period
    values: dict[str, Any] = {f"b{index:02}": count if index == bucket else 0 for index in range(18)}
    for name in ("queries", "storage_calls", "processor_count", "bytes"):
        values[name] = 0
    for name in ("seconds", "slowest", "database_seconds", "storage_seconds", "processor_seconds"):
        values[name] = 0.0
    return MonitorFigures(
        period=period, since=since, kind=kind, name="/", method="GET", outcome=outcome, count=count, **values
    )


def instance(clock: ManualClock, memory: int) -> MonitorInstance:
    return MonitorInstance(
        id="full", flush=1, platform="local", started_at=1, seen_at=int(clock.time()), frozen_seconds=0,
        processor_seconds=0, memory=memory, memory_limit=1000, connections=1, connections_limit=10,
    )  # fmt: skip


async def add(project: Project, *rows: Any) -> None:
    async with project.runtime.database.transaction() as session:
        session.add_all(rows)


ELSEWHERE = {"storage", "connections", "backup"}  # further default rules, each tested below
ALL_RULES = {
    "health", "server-errors", "latency", "failed-tasks", "old-tasks", "memory", "new-error", "alert_app.stock",
}  # fmt: skip


async def test_each_rule_arrives_once_within_a_minute_and_once_more_when_it_is_over(project, hook, clock):
    await project.runtime.tasks.queue("mail.clean-up")
    clock.advance(1900)  # since the clock began, which was before the task was queued
    State.healthy, State.stock = False, 1.0
    await add(
        project,
        figures(clock, REQUEST, "200", 60, 11),
        figures(clock, REQUEST, "500", 40, 11),
        figures(clock, REQUEST, "200", 100, 5, HOUR, WEEK),
        figures(clock, TASK, "failed", 1, 1),
        instance(clock, 950),
    )
    async with project.client() as client:
        assert (await client.get("/elsewhere")).status_code == 500
    await turn(project, clock, 0)
    await turn(project, clock)
    assert told(hook) == {(rule, "opened"): 1 for rule in ALL_RULES}
    for _ in range(3):
        await turn(project, clock)
    assert told(hook) == {(rule, "opened"): 1 for rule in ALL_RULES} | {("old-tasks", "resolved"): 1}
    # It is over.
    State.healthy, State.stock = True, 100.0
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(MonitorFigures).where(col(MonitorFigures.period) == MINUTE))
        await session.exec(delete(MonitorInstance).where(col(MonitorInstance.id) == "full"))
    async with project.client(headers=BEARER) as operator:
        assert (await operator.post("/oppman/errors/1/resolve")).status_code == 200
    for _ in range(4):
        await turn(project, clock)
    assert told(hook) == {(rule, event): 1 for rule in ALL_RULES for event in ("opened", "resolved")}
    assert {row.open_key for row in await project.all(AlertIncident)} == {None}
    stored = str([row.model_dump() for row in (*await project.all(AlertIncident), *await project.all(RuleState))])
    sent = "".join(each.body.decode() for each in hook.received)
    secret = project.runtime.settings.secret_key.get_secret_value()
    assert "The key is ***." in stored
    assert "The key is ***." in sent
    assert secret not in stored + sent
    assert len({each.headers["webhook-id"] for each in hook.received}) == len(hook.received)
    for each in hook.received:
        signed = f"{each.headers['webhook-id']}.{each.headers['webhook-timestamp']}.".encode() + each.body
        expected = base64.b64encode(hmac.digest(KEY.encode(), signed, hashlib.sha256)).decode()
        assert each.headers["webhook-signature"] == f"v1,{expected}"


def test_each_default_rule_has_a_test():
    assert {rule.id for rule in DEFAULTS} | {NEW_ERROR} == ALL_RULES - {"alert_app.stock"} | ELSEWHERE


@any_database
async def test_a_value_between_both_limits_changes_nothing(project, hook, clock):
    State.stock = 5.0  # 95 of 90
    await turn(project, clock)
    State.stock = 15.0  # 85: below 90, above 81
    for _ in range(6):
        await turn(project, clock)
    assert told(hook) == {("alert_app.stock", "opened"): 1}
    State.stock = 50.0
    await turn(project, clock)
    assert told(hook) == {("alert_app.stock", "opened"): 1}
    await turn(project, clock)
    await turn(project, clock)
    assert told(hook) == {("alert_app.stock", event): 1 for event in ("opened", "resolved")}


async def test_two_instances_evaluate_at_once_and_one_message_arrives(project, url, tmp_path, hook, clock, monkeypatch):
    State.stock = 0.0
    async with running(url, tmp_path, environ(hook), APPS, clock=clock) as other:
        both = (project.runtime, other.runtime)
        done = await asyncio.gather(*(evaluation.evaluate(each) for each in both))
        assert sorted(done) == [False, True]
        clock.advance(30)
        # Even if both believe that it is their turn.
        monkeypatch.setattr(evaluation, "INTERVAL", -1.0)
        State.stock = 100.0
        for _ in range(3):
            await asyncio.gather(*(evaluation.evaluate(each) for each in both))
            clock.advance(30)
        State.stock = 0.0
        await asyncio.gather(*(evaluation.evaluate(each) for each in both))
        await asyncio.gather(*(each.tasks.drain(BUDGET) for each in both))
    assert len(await project.all(AlertIncident)) == 2
    # The first one was over before its message was sent, so that there is only the one about its end.
    assert told(hook) == {("alert_app.stock", "opened"): 1, ("alert_app.stock", "resolved"): 1}


async def test_killed_between_opening_and_sending(url, tmp_path, hook, clock, monkeypatch):
    State.stock = 0.0

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    async with running(url, tmp_path, environ(hook), APPS, clock=clock) as first:
        with monkeypatch.context() as patch:
            patch.setattr(incidents, "notify", dies)  # within the transaction
            with pytest.raises(asyncio.CancelledError):
                await evaluation.evaluate(first.runtime)
        assert await first.all(AlertIncident) == []
        clock.advance(30)
        assert await evaluation.evaluate(first.runtime)
    assert hook.received == []
    async with running(url, tmp_path, environ(hook), APPS, clock=clock) as second:
        await turn(second, clock)
    assert told(hook) == {("alert_app.stock", "opened"): 1}


async def test_muted(project, hook, clock):
    async with project.client(headers=BEARER) as operator:
        muted = await operator.post("/oppman/alerts/alert_app.stock/mute", data={"hours": 1})
        assert muted.status_code == 200, muted.text
        assert (await operator.post("/oppman/alerts/nothing/mute")).status_code == 404
        State.stock = 0.0
        await turn(project, clock)
        answer = (await operator.get("/oppman/alerts")).json()
        assert [(each["rule"], each["muted"]) for each in answer["open"]] == [("alert_app.stock", True)]
        assert hook.received == []
        clock.advance(3600)
        await turn(project, clock)
        assert told(hook) == {("alert_app.stock", "opened"): 1}
        await operator.post("/oppman/alerts/all/mute")
        State.stock = 100.0
        for _ in range(4):
            await turn(project, clock)
        assert told(hook) == {("alert_app.stock", "opened"): 1}
        await operator.post("/oppman/alerts/all/unmute")
        await turn(project, clock)
        assert told(hook) == {("alert_app.stock", "opened"): 1}
        State.stock = 0.0
        await turn(project, clock)
        assert told(hook) == {("alert_app.stock", "opened"): 2}


@any_database
async def test_a_rule_that_fails_changes_nothing_and_stops_no_other(project, hook, clock):
    State.stock = 0.0
    await turn(project, clock)
    State.broken, State.healthy = True, False
    for _ in range(4):
        await turn(project, clock)
    assert told(hook) == {("alert_app.stock", "opened"): 1, ("health", "opened"): 1}
    [row] = [row for row in await project.all(RuleState) if row.rule == "alert_app.stock"]
    assert row.problem == "RuntimeError: with *** in it"


async def test_the_page(project, hook, clock):
    State.stock = 0.0
    async with project.client() as stranger:
        for path in ("", "/evaluate", "/test", "/health/mute"):
            answer = await (stranger.post(f"/oppman/alerts{path}") if path else stranger.get("/oppman/alerts"))
            assert answer.status_code in (401, 403)
    async with project.signed_in() as admin:
        answer = await admin.post("/oppman/alerts/evaluate", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, "/oppman/alerts")
        page = await admin.get("/oppman/alerts", headers=BROWSER)
        assert page.status_code == 200
        assert "The shelf is empty" in page.text
        assert "generic webhook at 127.0.0.1" in page.text
        assert hook.url() not in page.text
        assert (await admin.post("/oppman/alerts/test", headers=BROWSER)).status_code == 303
    await project.runtime.tasks.drain(BUDGET)
    assert told(hook) == {("alert_app.stock", "opened"): 1, ("", "test"): 1}


async def test_switched_off(sqlite_url, tmp_path, hook, clock):
    State.stock = 0.0
    async with running(sqlite_url, tmp_path, environ(hook), APPS, clock=clock) as project:
        await turn(project, clock)
    off = environ(hook, ALERTS="alert_app.stock=off, health=off")
    async with running(sqlite_url, tmp_path, off, APPS, clock=clock) as project:
        await turn(project, clock)
        assert "alert_app.stock" not in [
            rule["id"] for rule in (await _json(project, "/oppman/alerts"))["rules"]
        ]  # fmt: skip
    assert told(hook) == {("alert_app.stock", "opened"): 1, ("alert_app.stock", "resolved"): 1}
    async with running(sqlite_url, tmp_path, environ(hook, ALERTS="off"), APPS, clock=clock) as project:
        clock.advance(60)
        async with project.client(headers=BEARER) as operator:
            assert (await operator.post("/async/drain")).status_code == 200
        assert (await _json(project, "/oppman/alerts"))["enabled"] is False
    assert len(hook.received) == 2


async def _json(project: Project, path: str) -> Any:
    async with project.client(headers=BEARER) as operator:
        return (await operator.get(path)).json()


async def test_a_flush_evaluates_and_a_drain_beats(sqlite_url, tmp_path, hook, clock):
    State.stock = 0.0
    own = environ(hook, HEARTBEAT_URL=hook.url("/beat"))
    async with running(sqlite_url, tmp_path, own, APPS, clock=clock) as project, project.client() as client:
        for _ in range(4):
            await client.get("/no-such-page")
            await project.runtime.background.idle()
            clock.advance(11)
        assert [row.rule for row in await project.all(AlertIncident)] == ["alert_app.stock"]
        for _ in range(3):
            answer = await client.post("/async/drain", headers=BEARER)
            assert answer.status_code == 200, answer.text
        assert Counter(each.path for each in hook.received) == {"/hook": 1, "/beat": 1}
        clock.advance(61)
        hook.status = 500
        assert (await client.post("/async/drain", headers=BEARER)).status_code == 200
        assert Counter(each.path for each in hook.received) == {"/hook": 1, "/beat": 2}


@pytest.mark.parametrize("monitor", ["true", "false"])
async def test_a_worker_evaluates_while_nobody_asks(sqlite_url, tmp_path, hook, clock, monkeypatch, monitor):
    monkeypatch.setattr(flushing, "INTERVAL", 0.01)
    monkeypatch.setattr(worker, "START_DELAY", 0.0)
    State.stock = 0.0
    own = environ(hook, MONITOR=monitor)
    async with running(sqlite_url, tmp_path, own, APPS, clock=clock) as project, worker_in_background(project.runtime):
        async with asyncio.timeout(60):
            began = clock.monotonic()
            while not hook.received:
                clock.advance(1)
                await asyncio.sleep(0.05)
    assert told(hook) == {("alert_app.stock", "opened"): 1}
    assert clock.monotonic() - began < 60


async def test_a_webhook_that_is_down_gets_the_message_later(sqlite_url, tmp_path, hook, clock):
    State.stock = 0.0
    async with running(sqlite_url, tmp_path, environ(hook), APPS, clock=clock) as project:
        hook.status = 500
        await turn(project, clock)
        [job] = await project.runtime.tasks.list(name=SEND)
        assert job.status == "scheduled"
        assert "answers 500" in job.error
        assert hook.url() not in job.error
        hook.status = 204
        await project.runtime.tasks.retry(job.id)
        await project.runtime.tasks.drain(BUDGET)
    assert len(hook.received) == 2
    assert len({each.headers["webhook-id"] for each in hook.received}) == 1


FAULTS: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"silent": True}, WebhookDelayed),
    ({"status": 503}, WebhookDelayed),
    ({"status": 429}, WebhookDelayed),
    ({"status": 404}, WebhookRefused),
    ({"status": 302, "headers": "location: http://127.0.0.1:1/\r\n"}, WebhookRefused),
    ({"headers": f"x: {'y' * 200_000}\r\n"}, WebhookDelayed),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
async def test_faults_of_a_webhook(hook, tmp_path, fault, error):
    settings = settings_of(f"sqlite:///{tmp_path}/x.db", tmp_path, environ(hook))
    vars(hook).update(fault)
    message = Message("1", "test", "Shop: a test", ("It works.",), "", {})
    with pytest.raises(error) as raised:
        await deliver(message, settings.webhooks[0], settings, 0, Limits(seconds=0.5 if hook.silent else 20))
    assert hook.url() not in str(raised.value)
    assert len(hook.received) == 1


async def test_a_huge_answer_is_not_read(hook, tmp_path):
    settings = settings_of(f"sqlite:///{tmp_path}/x.db", tmp_path, environ(hook))
    hook.huge = True
    await deliver(Message("1", "test", "Shop", (), "", {}), settings.webhooks[0], settings, 0)
    assert hook.sent < HUGE / 2


async def test_plain_http_is_refused_in_production(hook, tmp_path):
    settings = settings_of(f"sqlite:///{tmp_path}/x.db", tmp_path, PRODUCTION)
    with pytest.raises(WebhookRefused, match="not https"):
        await deliver(Message("1", "test", "x", (), "", {}), Webhook("generic", hook.url()), settings, 0)
    assert hook.received == []


async def test_a_mail_is_queued_once(sqlite_url, tmp_path, hook, clock):
    State.stock = 0.0
    own = environ(hook, ALERT_MAIL="a@example.com, b@example.com", ALERT_WEBHOOKS="")
    async with running(sqlite_url, tmp_path, own, APPS, clock=clock) as project:
        await turn(project, clock)
        async with project.runtime.database.read() as session:
            rows = (await (await session.connection()).execute(text("SELECT recipient, text FROM mail_messages"))).all()
    assert [row.recipient for row in rows] == ["a@example.com", "b@example.com"]
    assert "The shelf is empty" in rows[0].text
    assert "http://site.test/oppman/alerts" in rows[0].text


async def test_a_lease_is_for_one_at_a_time(project):
    database = project.runtime.database
    taken = await asyncio.gather(*(leases.take(database, "x", 1000.0, 30) for _ in range(5)))
    assert sorted(taken) == [False] * 4 + [True]
    assert not await leases.take(database, "x", 1029.0, 30)
    assert await leases.take(database, "x", 1030.0, 30)
    assert not await leases.take(database, "x", 990.0, 30)  # a clock that is a little late
    await leases.take(database, "x", 1e9, 30)  # one that was wrong
    assert await leases.take(database, "x", 2000.0, 30)


async def test_old_incidents_are_deleted(project, hook, clock):
    State.stock = 0.0
    await turn(project, clock)
    State.stock = 100.0
    for _ in range(4):
        await turn(project, clock)
    State.stock = 0.0
    await turn(project, clock)
    later = clock.now() + timedelta(days=91)
    assert await incidents.clean_up(project.runtime.database, later, 90) == 1
    assert [row.open_key for row in await project.all(AlertIncident)] == ["alert_app.stock"]


async def test_connections_are_counted_where_the_database_has_a_limit(url, tmp_path, hook, clock):
    async with running(url, tmp_path, environ(hook, ALERTS="connections=0.0001"), APPS, clock=clock) as project:
        await turn(project, clock)
        await turn(project, clock)
        expected = {("connections", "opened"): 1} if project.runtime.database.url.backend == "postgresql" else {}
        assert told(hook) == expected
    async with running(url, tmp_path, environ(hook, ALERTS="connections=0.9"), APPS, clock=clock) as project:
        for _ in range(3):
            await turn(project, clock)
        expected |= {("connections", "resolved"): 1} if expected else {}
        assert told(hook) == expected


async def test_a_full_bucket_and_an_old_backup(sqlite_url, tmp_path, hook, clock, rclone):
    bucket = {
        "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": rclone.create_bucket(),
        "S3_ENDPOINT_URL": rclone.endpoint, "S3_QUOTA_MB": "1", "STORAGE_TYPE": "s3", "ALERTS": "old-tasks=off",
    }  # fmt: skip
    async with running(sqlite_url, tmp_path, environ(hook, **bucket), APPS, clock=clock) as project:
        storage = backup_storage(project.runtime.settings, project.runtime.storage)
        await storage.put("photos/a.jpg", bytes(850_000), content_type="image/jpeg")
        await storage.put(new_key(), b"a backup", content_type="application/octet-stream")
        await turn(project, clock)
        assert told(hook) == {("storage", "opened"): 1}
        clock.advance(49 * 3600)
        await storage.delete("photos/a.jpg")
        await turn(project, clock)
        await turn(project, clock)
        assert told(hook) == {("storage", "opened"): 1, ("backup", "opened"): 1}
        await turn(project, clock, 600)
        assert told(hook) == {("storage", "opened"): 1, ("backup", "opened"): 1, ("storage", "resolved"): 1}
    enough = environ(hook, **bucket | {"ALERTS": "old-tasks=off, backup=100"})
    async with running(sqlite_url, tmp_path, enough, APPS, clock=clock) as project:
        for _ in range(2):
            await turn(project, clock, 600)
    expected = {(rule, event): 1 for rule in ("storage", "backup") for event in ("opened", "resolved")}
    assert told(hook) == expected
