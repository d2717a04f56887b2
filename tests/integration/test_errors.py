"""Errors from the request or task that fails to the page that shows them: grouped, capped, masked, and found again."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from fastopp import reporting
from fastopp.features.accounts.models import AuditLog, FailedAttempt
from fastopp.features.errors import error_sink, groups, storing
from fastopp.features.errors.models import ErrorEvent, ErrorGroup
from fastopp.tasks.worker.store import open_store
from fastopp.testing import ManualClock
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.front import BlackHole
from tests.services.ops_project import BEARER, BROWSER, PRODUCTION, Project, initialised, running

APP = "tests.services.error_app"
BUDGET = timedelta(seconds=20)
DAY = timedelta(days=1).total_seconds()

url = url_on("sqlite", "psycopg", fill=initialised)
sqlite_url = url_on("sqlite", fill=initialised)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url, tmp_path, clock):
    async with running(url, tmp_path, PRODUCTION | {"RELEASE": "one"}, [APP], clock=clock) as project:
        patient(project)
        yield project


@pytest.fixture(autouse=True)
def _quiet(monkeypatch) -> None:
    """Formatting a thousand tracebacks takes longer than all else."""
    monkeypatch.setattr(logging.getLogger("fastopp.web.problems"), "disabled", True)


def patient(project: Project) -> None:
    """Let answers wait longer for their errors: tests share a busy machine."""
    project.runtime.errors.limit = 60


async def get(project: Project, path: str, **headers: str):
    async with project.client() as client:
        return await client.get(path, headers=headers)


async def test_one_group_and_the_request_that_the_error_page_names(project, clock):
    page = await get(project, "/fail/shelf", accept="text/html")
    assert page.status_code == 500
    clock.advance(1)
    assert (await get(project, "/fail/lamp")).status_code == 500
    assert (await get(project, "/elsewhere")).status_code == 500
    assert (await get(project, "/no-such-page")).status_code == 404
    first, second = await project.all(ErrorGroup)
    assert (first.count, first.retries, first.stored, first.state) == (2, 0, 2, "open")
    assert first.type == "tests.services.error_app.routes.ShopError"
    assert first.place == "tests/services/error_app/routes.py, in fail"
    assert (first.message, first.release) == ("lamp is broken", "one")
    assert first.last_seen - first.first_seen == timedelta(seconds=1)
    assert second.count == 1
    event = (await project.all(ErrorEvent))[0]
    assert event.request_id == page.headers["x-request-id"]
    assert event.request_id in page.text
    assert (event.method, event.route, event.kind, event.user_id) == ("GET", "/fail/{name}", "request", "")
    assert (event.message, event.release) == ("shelf is broken", "one")
    assert 'raise ShopError(f"{name} is broken")' in event.traceback
    assert "shelf is broken" in event.traceback
    assert event.instance


@pytest.mark.parametrize("url", ["psycopg", *only_full("sqlite")], indirect=True)
async def test_a_thousand_errors_are_one_group_and_at_most_fifty_events(project, clock):
    async with project.client() as client:
        for _ in range(10):
            answers = await asyncio.gather(*(client.get(f"/fail/{number}") for number in range(100)))
            assert {answer.status_code for answer in answers} == {500}
            clock.advance(30)
        last = await client.get("/fail/last")
    [group] = await project.all(ErrorGroup)
    assert group.count == 1001
    events = sorted(await project.all(ErrorEvent), key=lambda event: event.number)
    assert len(events) == 50
    assert [event.number for event in events] == [1, *range(group.stored - 48, group.stored + 1)]
    assert group.stored > 50
    assert events[-1].request_id == last.headers["x-request-id"]
    assert group.message == "last is broken"


async def test_two_instances_make_one_group_of_what_both_see_first(project, url, tmp_path):
    async with running(url, tmp_path, PRODUCTION | {"RELEASE": "one"}, [APP]) as other:
        patient(other)
        paths = ["/fail/1", "/elsewhere", "/kinds/Odd"]
        answers = await asyncio.gather(*(get(each, path) for path in paths for each in (project, other)))
    assert {answer.status_code for answer in answers} == {500}
    assert [group.count for group in await project.all(ErrorGroup)] == [2, 2, 2]
    assert len(await project.all(ErrorEvent)) == 6


CANARIES = ("canary-in-the-path", "canary-of-a-form", "canary-of-a-token", "canary-of-a-cookie", "canary-in-a-query",
    "canary-of-a-local-variable", "canary-in-a-dictionary", "canary-in-s3-settings", "canary&of=another form",
    "operations-token-of-the-tests", PRODUCTION["SECRET_KEY"])  # fmt: skip


async def test_no_secret_is_stored(url, tmp_path):
    environ = PRODUCTION | {
        "S3_ACCESS_KEY": "some-access-key", "S3_SECRET_KEY": "canary-in-s3-settings", "S3_BUCKET": "b",
        "S3_ENDPOINT_URL": "http://127.0.0.1:1",
    }  # fmt: skip
    async with running(url, tmp_path, environ, [APP]) as project:
        patient(project)
        async with project.client(headers={"Authorization": "Bearer canary-of-a-token"}) as client:
            client.cookies.set("colour", "canary-of-a-cookie")
            for password in ("canary-of-a-form", "canary&of=another form"):
                form = {"password": password, "secret": "canary-of-a-form"}
                answer = await client.post("/secret/canary-in-the-path?api_key=canary-in-a-query", data=form)
                assert answer.status_code == 500, answer.text
        groups, events = await project.all(ErrorGroup), await project.all(ErrorEvent)
        async with project.client(headers=BEARER) as operator:
            pages = [(await operator.get(f"/oppman/errors/{group.id}", headers=BROWSER)).text for group in groups]
    assert (len(groups), len(events)) == (2, 4)
    reported = next(event for event in events if event.kind == "reported")
    assert reported.context["password"] == "***"
    assert reported.context["nested"] == {"token": "***"}
    assert reported.context["note"] == "it was ***"
    database_password = project.runtime.settings.database.password
    stored = json.dumps([row.model_dump(mode="json") for row in [*groups, *events]]) + "".join(pages)
    for canary in (*CANARIES, *filter(None, [database_password])):
        assert canary not in stored
        assert canary.replace("&", "%26") not in stored
    assert "raise ShopError" in stored


async def test_reported_by_code(project):
    async with project.client() as client:
        assert (await client.post("/caught", headers=BEARER)).json() == {"done": True}
        assert (await client.post("/caught", params={"refuse": True}, headers=BEARER)).status_code == 400
        assert (await client.get("/in-a-thread")).status_code == 200
        assert (await client.get("/odd")).status_code == 200
    assert len([row for row in await project.all(FailedAttempt) if row.subject == "an order"]) == 1
    groups = {group.type.rpartition(".")[2]: group for group in await project.all(ErrorGroup)}
    assert groups["KeyError"].count == 2, "also where the request was refused, and its transaction rolled back"
    events = await project.all(ErrorEvent)
    first = next(event for event in events if event.group_id == groups["KeyError"].id)
    assert (first.kind, first.route, first.method) == ("reported", "/caught", "POST")
    context = dict(first.context)
    assert context.pop("odd") == "(Unprintable, which cannot be shown: RuntimeError)"
    assert context.pop("long") == "…***…"
    assert context == {"order": 7, "colour": "blue", "price": "nan"}
    raised_nowhere = next(event for event in events if event.route == "/in-a-thread")
    assert 'report(ShopError("never raised"), request=5)' in raised_nowhere.traceback
    assert groups["ShopError"].place.endswith("in in_a_thread")
    many = next(event for event in events if event.group_id == groups["ExceptionGroup"].id)
    assert len(many.context) == 20
    assert len(many.traceback) < 8500
    assert groups["Unprintable"].message == "(its message cannot be made)"


async def test_tasks(project):
    tasks = project.runtime.tasks
    jobs = {name: (await tasks.queue(f"errors.{name}")).id for name in ("again", "reports", "unfinished")}
    jobs["fails"] = (await tasks.queue("errors.fails", password="canary-of-an-argument")).id
    await tasks.drain(BUDGET)
    found = {
        event.number if event.task == "errors.again" else event.task: event for event in await project.all(ErrorEvent)
    }
    assert set(found) == {1, 2, "errors.fails", "errors.reports"}
    assert (found["errors.fails"].kind, found["errors.fails"].job_id) == ("task", jobs["fails"])
    assert "canary" not in found["errors.fails"].message + found["errors.fails"].traceback
    assert [(found[n].kind, found[n].attempt) for n in (1, 2)] == [("retry", 1), ("task", 2)]
    assert (found["errors.reports"].kind, found["errors.reports"].context) == ("reported", {"row": 3})
    assert found["errors.reports"].job_id == jobs["reports"]
    again = next(group for group in await project.all(ErrorGroup) if group.id == found[1].group_id)
    assert (again.count, again.retries) == (2, 1)


async def test_a_job_that_takes_its_worker_down(project):
    job = (await project.runtime.tasks.queue("errors.fails")).id
    async with open_store(project.runtime) as store:
        await store.fetch(None, await store.sign_on(), 1)
    async with project.runtime.database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000'"))
        await connection.execute(text("UPDATE procrastinate_jobs SET attempts = 100"))
    await project.runtime.tasks.drain(BUDGET)
    assert (await project.runtime.tasks.get(job)).status == "failed"
    [group] = await project.all(ErrorGroup)
    assert (group.type, group.place) == ("fastopp.tasks.errors.WorkerDied", "errors.fails")
    [event] = await project.all(ErrorEvent)
    assert (event.job_id, event.kind, event.attempt) == (job, "task", 101)


async def test_an_answer_in_parts_and_work_in_the_background(project):
    async with project.client() as client:
        with pytest.raises(Exception, match="in the middle"):
            await client.get("/stream")
        await client.get("/in-background")
        await project.runtime.background.idle()
    found = {event.message: event for event in await project.all(ErrorEvent)}
    assert found["in the middle"].route == "/stream"
    assert (found["in the background"].kind, found["in the background"].task) == ("background", "prices")


async def test_who_was_signed_in(project):
    async with project.signed_in() as admin:
        assert (await admin.get("/fail/1")).status_code == 500
    [event] = await project.all(ErrorEvent)
    async with project.runtime.database.read() as session:
        user = (await session.exec(text("SELECT id FROM users WHERE email = 'admin@example.com'"))).scalar_one()
    assert event.user_id.replace("-", "") == str(user).replace("-", "")


async def test_a_database_that_hangs_holds_no_answer_and_loses_no_error(project, clock, caplog):
    await get(project, "/elsewhere")
    project.runtime.errors.limit = 0.2
    async with project.runtime.database.engine.connect() as other:
        if project.runtime.settings.database.backend == "sqlite":
            await other.exec_driver_sql("UPDATE error_groups SET count = count")
        else:
            await other.exec_driver_sql("LOCK TABLE error_groups IN ACCESS EXCLUSIVE MODE")
        answers = await asyncio.gather(*(get(project, "/elsewhere") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {500}
        assert "Errors could not be stored" in caplog.text
        waiting = sum("could not be stored" in record.message for record in caplog.records)
        await get(project, "/elsewhere")
        assert waiting == sum("could not be stored" in record.message for record in caplog.records), "it is not tried"
        await other.rollback()
    patient(project)
    clock.advance(reporting.PAUSE)
    assert (await get(project, "/license")).status_code == 200
    [group] = await project.all(ErrorGroup)
    assert group.count == 22


async def test_what_waits_in_memory_is_bounded(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(error_sink, "EVENTS_WAITING", 12)
    monkeypatch.setattr(error_sink, "WAITING", 3)
    async with running(sqlite_url, tmp_path, PRODUCTION, [APP]) as project:
        patient(project)
        monkeypatch.setattr(reporting.ErrorReports, "waiting", False)
        for number in range(20):
            await get(project, "/elsewhere")
            await get(project, f"/fail/{number}")
        for number in range(5):
            await get(project, f"/kinds/Kind{number}")
        monkeypatch.undo()
        await project.runtime.errors.flush()
        assert sorted(group.count for group in await project.all(ErrorGroup)) == [1, 20, 20]
        assert 12 <= len(await project.all(ErrorEvent)) <= 13


async def test_a_black_hole(tmp_path, caplog):
    with BlackHole() as hole:
        url = f"postgresql+psycopg://shop:password@127.0.0.1:{hole.port}/shop"
        async with running(url, tmp_path, PRODUCTION | {"DB_TIMEOUT": "300"}, [APP]) as project:
            project.runtime.errors.limit = 0.1
            began = time.monotonic()
            for _ in range(3):
                assert (await get(project, "/elsewhere")).status_code == 500
            assert time.monotonic() - began < 60
            assert project.runtime.errors.waiting is False
    assert "shop:password" not in caplog.text


async def test_states(project, clock, url, tmp_path):
    await get(project, "/elsewhere")
    async with project.client(headers=BEARER) as operator:

        async def state(change: str = "", **form: str) -> str:
            if change:
                answer = await operator.post(f"/oppman/errors/1/{change}", data=form)
                assert answer.status_code == 200, answer.text
            found = (await operator.get("/oppman/errors/1")).json()
            return found["state"] + (" again" if found["regressed_at"] else "")

        assert await news(project) == [(1, False)]
        assert await news(project) == []
        assert await state("ignore") == "ignored"
        await get(project, "/elsewhere")
        assert (await state(), await news(project)) == ("ignored", [])
        assert await state("reopen") == "open"
        assert await state("resolve") == "resolved"
        await get(project, "/elsewhere")
        assert (await state(), await news(project)) == ("open again", [(1, True)])
        assert await state("resolve", by_next="true") == "resolved"
        await get(project, "/elsewhere")
        assert await state() == "resolved", "this release is the one that it came from"
        async with running(url, tmp_path, PRODUCTION | {"RELEASE": "two"}, [APP], clock=clock) as newer:
            patient(newer)
            await get(newer, "/elsewhere")
            assert (await state(), await news(project)) == ("open again", [(1, True)])
            await get(project, "/elsewhere")
            async with newer.client(headers=BEARER) as operator_there:
                await operator_there.post("/oppman/errors/1/resolve")
            await get(project, "/elsewhere")
            assert await state() == "resolved", "an instance of the release before is still running"
            await get(newer, "/elsewhere")
            assert await state() == "open again"
            await get(project, "/elsewhere")
            async with newer.client(headers=BEARER) as operator_there:
                await operator_there.post("/oppman/errors/1/resolve", data={"by_next": "true"})
            await get(newer, "/elsewhere")
            assert await state() == "resolved", "the next release is to resolve it"


async def news(project: Project) -> list[tuple[int, bool]]:
    """Claim news by two callers at the same time."""

    async def claim() -> list[tuple[int, bool]]:
        async with project.runtime.database.transaction() as session:
            found = await groups.claim_news(session, project.runtime.clock.now())
            return [(group.id, group.regressed_at is not None) for group in found]

    first, second = await asyncio.gather(claim(), claim())
    return first + second


async def test_attempts_that_are_made_again_are_no_news(project, monkeypatch):
    await project.runtime.tasks.queue("errors.again")
    await project.runtime.tasks.drain(BUDGET, limit=1)
    assert [(group.count, group.retries) for group in await project.all(ErrorGroup)] == [(1, 1)]
    assert await news(project) == []
    await project.runtime.tasks.drain(BUDGET)
    assert await news(project) == [(1, False)]


def kind_of(error: dict[str, Any]) -> str:
    return str(error["type"]).rpartition(".")[2]


async def test_the_page(project, clock):
    for number in range(27):
        await get(project, f"/kinds/Kind{number:02}")
        clock.advance(1)
    async with project.client(headers=BEARER) as operator:
        first = (await operator.get("/oppman/errors")).json()
        assert first["counts"] == {"open": 27, "resolved": 0, "ignored": 0}
        assert [each["type"].rpartition(".")[2] for each in first["errors"]] == [
            f"Kind{n:02}" for n in range(26, 1, -1)
        ]
        rest = (await operator.get("/oppman/errors", params={"before": first["older"]})).json()
        assert [kind_of(each) for each in rest["errors"]] == ["Kind01", "Kind00"]
        assert rest["older"] is None
        for search, count in (("Kind1", 10), ("kinds", 27), ("%", 0), ("made", 27), ("nothing", 0)):
            found = (await operator.get("/oppman/errors", params={"q": search, "state": "all"})).json()["errors"]
            assert len(found) == min(count, 25), search


async def test_found_by_the_request_id_of_the_error_page(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, PRODUCTION, [APP]) as project:
        patient(project)
        page = await get(project, "/fail/first", accept="text/html")
        await get(project, "/fail/second")
        request_id = page.headers["x-request-id"]
        async with project.signed_in() as admin:
            listed = await admin.get("/oppman/errors", params={"q": request_id, "state": "all"}, headers=BROWSER)
            address = f"/oppman/errors/1?request_id={request_id}"
            assert address in listed.text
            shown = await admin.get(address, headers=BROWSER)
            assert "first is broken" in shown.text
            assert "Occurrence 1" in shown.text
            answer = await admin.post("/oppman/errors/1/resolve", headers=BROWSER)
            assert (answer.status_code, answer.headers["location"]) == (303, "/oppman/errors/1")
            assert "Reopen" in (await admin.get("/oppman/errors/1", headers=BROWSER)).text
            for path in (
                "?state=lost",
                "?before=0",
                "?before=9999999999999999-1",
                "/0",
                "/99999999999",
                "/2",
                "/1?event=0",
            ):
                answer = await admin.get(f"/oppman/errors{path}")
                assert answer.status_code in ((200,) if "99-1" in path else (404, 422)), path
            del admin.headers["X-CSRF-Token"]
            assert (await admin.post("/oppman/errors/1/reopen")).status_code == 403
        async with project.client() as nobody:
            for path in ("", "/1"):
                assert (await nobody.get(f"/oppman/errors{path}")).status_code == 401
            for change in ("resolve", "ignore", "reopen"):
                assert (await nobody.post(f"/oppman/errors/1/{change}")).status_code in (401, 403)
        assert [row.action for row in await project.all(AuditLog) if row.model_name == "error_groups"] == ["update"]


async def test_what_is_kept_is_bounded(project, clock, monkeypatch):
    monkeypatch.setattr(storing, "MAX_GROUPS", 5)
    monkeypatch.setattr(storing, "MAX_EVENTS", 8)
    monkeypatch.setattr(error_sink, "KNOWN", 6)
    for number in range(error_sink.NEW_AT_ONCE + 10):
        await get(project, f"/kinds/Kind{number}")
    found = await project.all(ErrorGroup)
    assert len(found) == 5
    overflow = next(group for group in found if group.type == "TooManyErrors")
    assert overflow.count == 10
    for _ in range(10):
        await get(project, "/elsewhere")
    assert await groups.clean_up(project.runtime.database, clock, 0) > 0
    assert len(await project.all(ErrorEvent)) == 8


async def test_old_errors_are_deleted(project, clock):
    await get(project, "/fail/old")
    clock.advance(60 * DAY)
    await get(project, "/elsewhere")
    clock.advance(40 * DAY)
    report = await project.runtime.tasks.queue("clean-up")
    await project.runtime.tasks.drain(BUDGET)
    assert (await project.runtime.tasks.get(report.id)).result["errors"] == 2
    assert [group.place.rpartition(" ")[2] for group in await project.all(ErrorGroup)] == ["elsewhere"]
    assert len(await project.all(ErrorEvent)) == 1


async def test_switched_off(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, PRODUCTION | {"ERRORS": "false"}, [APP]) as project:
        assert (await get(project, "/elsewhere")).status_code == 500
        assert await project.all(ErrorGroup) == []
        async with project.client(headers=BEARER) as operator:
            assert "not recorded" in (await operator.get("/oppman/errors", headers=BROWSER)).text


async def test_in_development_too(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, {}, [APP]) as project:
        patient(project)
        async with project.client("127.0.0.1") as developer:
            page = await developer.get("/elsewhere", headers=BROWSER)
        assert "tests/services/error_app/routes.py" in page.text
        [event] = await project.all(ErrorEvent)
        assert event.request_id in page.text


async def test_before_the_tables_are_there(tmp_path, caplog):
    async with running(f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}", tmp_path, PRODUCTION, [APP]) as project:
        patient(project)
        assert (await get(project, "/elsewhere")).status_code == 500
    assert "Errors could not be stored, and wait: TablesMissing" in caplog.text
