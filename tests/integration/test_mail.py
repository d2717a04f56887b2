"""Mails from the request to the mail server: queued with it or not at all, tried again, and shown to operators."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from sqlalchemy import insert, text

from fastopp.features.accounts.models import AuditLog, FailedAttempt
from fastopp.features.mail import outgoing
from fastopp.features.mail.models import MailMessage
from fastopp.features.mail.service import open_mail
from fastopp.tasks.models import jobs
from fastopp.testing import ManualClock
from tests.gate import any_database
from tests.services.databases import url_on
from tests.services.mail_server import IN_URL, PASSWORD, mail_server
from tests.services.ops_project import BEARER, BROWSER, PRODUCTION, Project, initialised, running

APP = "tests.services.mail_app"
BUDGET = timedelta(seconds=20)
DAY = timedelta(days=1).total_seconds()

url = url_on("sqlite", "psycopg", fill=initialised)
sqlite_url = url_on("sqlite", fill=initialised)


@pytest.fixture
async def server():
    async with mail_server() as running_server:
        yield running_server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def production(server, **variables: str) -> dict[str, str]:
    return (
        PRODUCTION
        | {
            "MAIL_URL": server.url(),
            "MAIL_FROM": "Shop <shop@example.com>",
            "SITE_URL": "https://shop.example.com/",
        }
        | variables
    )


@pytest.fixture
async def project(url, tmp_path, server, clock):
    async with running(url, tmp_path, production(server), [APP], clock=clock) as project:
        yield project


async def post(project: Project, **parameters: str):
    async with project.client() as client:
        return await client.post("/orders", params=parameters, headers=BEARER)


async def make_due(project: Project) -> None:
    """Let what is scheduled for later start now."""
    async with project.runtime.database.transaction() as session:
        await (await session.connection()).execute(text("UPDATE procrastinate_jobs SET scheduled_at = NULL"))


@any_database
async def test_from_the_request_to_the_recipient(project, server):
    answer = await post(project, to="jo@example.com,ann@example.com", name="<b>Jo\r\nBcc: eve@example.com")
    assert answer.json() == {"mails": [1, 2]}
    [first, _] = await project.all(MailMessage)
    assert (first.state, first.subject) == ("queued", "Your order, <b>Jo Bcc: eve@example.com")
    report = await project.runtime.tasks.drain(BUDGET)
    assert report.failed == 0
    assert sorted(server.envelopes) == [("shop@example.com", "ann@example.com"), ("shop@example.com", "jo@example.com")]
    for mail in server.taken:
        assert mail["bcc"] is None
        assert "https://shop.example.com/orders" in mail.get_body(("plain",)).get_content()
        assert "Hello <b>Jo" in mail.get_body(("plain",)).get_content()
        assert "Hello &lt;b&gt;Jo" in mail.get_body(("html",)).get_content()
        assert len(mail["to"].addresses) == 1, "a recipient sees no other"
    for row in await project.all(MailMessage):
        assert (row.state, row.attempts, row.error, row.text, row.html) == ("sent", 1, "", None, None)
        assert row.sent_at is not None


async def test_with_the_transaction_or_not_at_all(project, server):
    assert (await post(project, to="jo@example.com", refuse="true")).status_code == 400
    assert (await post(project, to="jo@example.com,nobody")).status_code == 422
    assert (await post(project, to=",".join(f"{n}@example.com" for n in range(51)))).status_code == 422
    assert await project.all(MailMessage) == []
    assert [row for row in await project.all(FailedAttempt) if row.subject.startswith("order")] == []
    await project.runtime.tasks.drain(BUDGET)
    assert server.taken == []
    async with project.client() as client:
        assert (await client.get("/orders", params={"to": "jo@example.com"})).status_code == 200
    await project.runtime.tasks.drain(BUDGET)
    assert len(server.taken) == 1


@any_database
async def test_a_refused_recipient_is_shown_and_can_be_tried_again(project, server):
    server.recipient_answers["ann@example.com"] = "550 5.1.1 No such user"
    await post(project, to="jo@example.com,ann@example.com")
    await project.runtime.tasks.drain(BUDGET)
    async with project.client(headers=BEARER) as operator:
        page = (await operator.get("/oppman/mail")).json()
        assert page["counts"] == {"queued": 0, "sent": 1, "failed": 1}
        [failed] = (await operator.get("/oppman/mail", params={"state": "failed"})).json()["mails"]
        assert failed["recipient"] == "ann@example.com"
        assert "550 5.1.1 No such user" in failed["error"]
        assert not {"text", "html", "subject"} & failed.keys()
        server.recipient_answers.clear()
        again = await operator.post(f"/oppman/mail/{failed['id']}/again")
        assert (again.status_code, again.json()["state"]) == (200, "queued")
        assert (await operator.post(f"/oppman/mail/{failed['id']}/again")).status_code == 409
        assert (await operator.post("/oppman/mail/77/again")).status_code == 404
        await project.runtime.tasks.drain(BUDGET)
        assert (await operator.post(f"/oppman/mail/{failed['id']}/again")).status_code == 409
    assert {row.state for row in await project.all(MailMessage)} == {"sent"}


@any_database
async def test_a_server_that_is_down_loses_nothing(project, server):
    server.data_answers = ["451 4.3.0 Try later", None, "554 5.7.1 Spam"]
    await post(project, to="jo@example.com")
    for attempt, answer in ((1, "451 4.3.0 Try later"), (2, "cannot be used")):
        await project.runtime.tasks.drain(BUDGET)
        [row] = await project.all(MailMessage)
        assert (row.state, row.attempts) == ("queued", attempt)
        assert answer in row.error
        assert row.text
        await make_due(project)
    await project.runtime.tasks.drain(BUDGET)
    [row] = await project.all(MailMessage)
    assert (row.state, row.attempts) == ("failed", 3)
    assert len(server.taken) == 1, "the server hung up after it had taken the mail, which it does not say"


async def test_a_process_that_is_frozen_meanwhile(project, url, tmp_path, server, clock):
    """Another one takes the job over: the mail may come twice, and both copies have the same Message-ID."""

    async def take_over() -> None:
        server.before_answer = None
        async with project.runtime.database.transaction() as session:
            stale = text("UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000'")
            await (await session.connection()).execute(stale)
        async with running(url, tmp_path, production(server), [APP], clock=clock) as other:
            await other.runtime.tasks.drain(BUDGET)

    server.before_answer = take_over
    await post(project, to="jo@example.com")
    await project.runtime.tasks.drain(BUDGET)
    [row] = await project.all(MailMessage)
    assert (row.state, row.attempts) == ("sent", 1)
    assert [mail["message-id"] for mail in server.taken] == [row.message_id] * 2


async def test_two_drains_send_each_mail_once(project, url, tmp_path, server, clock):
    for number in range(6):
        await post(project, to=f"jo{number}@example.com")
    async with running(url, tmp_path, production(server), [APP], clock=clock) as other:
        await asyncio.gather(*(each.runtime.tasks.drain(BUDGET) for each in (project, other)))
    assert sorted(to for _, to in server.envelopes) == [f"jo{number}@example.com" for number in range(6)]


async def test_another_instance_sends_what_a_frozen_one_queued(project, url, tmp_path, server, clock):
    await post(project, to="jo@example.com")
    assert server.taken == []
    async with running(url, tmp_path, production(server), [APP], clock=clock) as other:
        await other.runtime.tasks.drain(BUDGET)
    assert len(server.taken) == 1


async def test_no_body_is_kept_for_longer_than_a_day(project, server, clock):
    server.recipient_answers = {"a@example.com": "550 No", "b@example.com": "450 Later"}
    await post(project, to="a@example.com,b@example.com")
    await project.runtime.tasks.drain(BUDGET)
    [cleaning] = [job for job in await project.runtime.tasks.list() if job.name == "mail.clean-up"]
    assert cleaning.scheduled_at is not None
    assert cleaning.scheduled_at - clock.now() == timedelta(days=1)
    clock.advance(DAY - 60)
    await outgoing.clean_up(project.runtime.database, clock)
    assert all(row.text for row in await project.all(MailMessage))
    clock.advance(60)
    assert await outgoing.clean_up(project.runtime.database, clock) == 2
    for row in await project.all(MailMessage):
        assert (row.state, row.text, row.html) == ("failed", None, None)
    await make_due(project)
    await project.runtime.tasks.drain(BUDGET)
    assert server.taken == []
    async with project.client(headers=BEARER) as operator:
        assert (await operator.post("/oppman/mail/1/again")).status_code == 409
    clock.advance(29 * DAY)
    assert await outgoing.clean_up(project.runtime.database, clock) == 2
    assert await project.all(MailMessage) == []


@any_database
async def test_a_mail_that_nothing_sent_for_a_day_is_not_sent(project, server, clock):
    await post(project, to="jo@example.com")
    clock.advance(DAY)
    await project.runtime.tasks.drain(BUDGET)
    [row] = await project.all(MailMessage)
    assert (row.state, row.text, row.error) == ("failed", None, outgoing.TOO_LATE)
    assert server.taken == []


async def test_the_page_is_for_operators_and_shows_no_bodies(project, server):
    server.data_answers = ["451 Later"]
    await post(project, to="jo@example.com", name="c4nary")
    await project.runtime.tasks.drain(BUDGET)
    async with project.client() as nobody:
        for path in ("", "/1", "/1/html"):
            assert (await nobody.get(f"/oppman/mail{path}")).status_code == 401
        assert (await nobody.post("/oppman/mail/1/again")).status_code in (401, 403)
    async with project.signed_in() as admin:
        for path in ("", "?state=queued", "?state=sent", "?before=2", "/1"):
            page = await admin.get(f"/oppman/mail{path}", headers=BROWSER)
            assert page.status_code == 200
            assert "c4nary" not in page.text
        assert "451 Later" in (await admin.get("/oppman/mail/1", headers=BROWSER)).text
        assert (await admin.get("/oppman/mail/1/html")).status_code == 404
        for path in ("?state=lost", "?before=0", "/0", "/99999999999", "/x"):
            assert (await admin.get(f"/oppman/mail{path}")).status_code in (404, 422)


async def test_sending_again_is_recorded(project, server):
    server.recipient_answers["jo@example.com"] = "550 No"
    await post(project, to="jo@example.com")
    await project.runtime.tasks.drain(BUDGET)
    async with project.signed_in() as admin:
        page = await admin.get("/oppman/mail/1", headers=BROWSER)
        assert "Send again" in page.text
        answer = await admin.post("/oppman/mail/1/again", headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (303, "/oppman/mail/1")
    assert [row.action for row in await project.all(AuditLog) if row.model_name == "mail_messages"] == ["retry"]


async def test_no_password_in_rows_and_logs(sqlite_url, tmp_path, server, caplog):
    caplog.set_level("DEBUG")
    async with mail_server(auth=True) as strict:
        environ = production(strict, MAIL_URL=strict.url(IN_URL.replace("ord", "rong")))
        async with running(sqlite_url, tmp_path, environ, [APP]) as project:
            await post(project, to="jo@example.com")
            await project.runtime.tasks.drain(BUDGET)
            [row] = await project.all(MailMessage)
            assert "535" in row.error
            assert "*** is wrong" in row.error, "this server answers with the password"
            [job] = [job for job in await project.runtime.tasks.list() if job.name == "mail.send"]
    wrong = PASSWORD.replace("ord", "rong")
    assert wrong not in job.error
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("mail.")]  # but the server's
    assert ours
    assert not [message for message in ours if wrong in message]


async def test_development_shows_what_mails_say(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, {}, [APP]) as project:
        await post(project, to="jo@example.com", name="<script>x</script>")
        await project.runtime.tasks.drain(BUDGET)
        async with project.signed_in() as admin:
            page = await admin.get("/oppman/mail/1", headers=BROWSER)
            assert 'href="http://127.0.0.1:8000/orders"' in page.text
            assert 'src="/oppman/mail/1/html"' in page.text
            assert "<script>x" not in page.text
            html = await admin.get("/oppman/mail/1/html", headers=BROWSER)
        assert "Hello &lt;script&gt;" in html.text
        assert html.headers["content-security-policy"].startswith("sandbox allow-popups")
        assert "script-src" not in html.headers["content-security-policy"]
        assert html.headers["x-frame-options"] == "SAMEORIGIN"


async def test_into_a_folder(sqlite_url, tmp_path):
    environ = {"MAIL_URL": f"file:{tmp_path}/mails"}
    async with running(sqlite_url, tmp_path, environ, [APP]) as project:
        await post(project, to="jo@example.com")
        await project.runtime.tasks.drain(BUDGET)
        [file] = (tmp_path / "mails").iterdir()
        assert file.suffix == ".eml"
        assert b"To: jo@example.com" in file.read_bytes()


async def test_production_without_mail_says_so(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, PRODUCTION, [APP]) as project:
        answer = await post(project, to="jo@example.com")
        assert answer.status_code == 503
        assert "Set MAIL_URL" in answer.text
        assert await project.all(MailMessage) == []
    environ = PRODUCTION | {"MAIL_URL": "console:"}
    async with running(sqlite_url, tmp_path, environ, [APP]) as project:
        answer = await post(project, to="jo@example.com")
        assert answer.status_code == 503
        assert "Set SITE_URL" in answer.text


async def test_each_recipient_in_their_language(sqlite_url, tmp_path):
    class Account:
        email, language, time_zone = "eva@example.com", "de-AT", "Europe/Vienna"

    async with running(sqlite_url, tmp_path, {"LANGUAGES": "en,de"}, [APP]) as project:
        await open_mail(project.runtime).send("mail_app/mail/order", ["jo@example.com", Account()], name="Jo")
        async with project.client() as client:
            await client.get("/orders", params={"to": "ann@example.com"}, headers={"Accept-Language": "fr, de;q=0.8"})
        subjects = {row.recipient: (row.language, row.subject) for row in await project.all(MailMessage)}
    assert subjects == {
        "jo@example.com": ("en", "Your order, Jo"),
        "eva@example.com": ("de", "Deine Bestellung, Jo"),
        "ann@example.com": ("de", "Deine Bestellung, Jo"),
    }


async def test_ten_thousand_mails(sqlite_url, tmp_path, server):
    async with running(sqlite_url, tmp_path, production(server), [APP]) as project:
        [first] = open_mail(project.runtime).write("mail_app/mail/order", "jo@example.com", name="Jo")
        row = first.model_dump(exclude={"id"})
        numbers = range(1, 10_001)
        job = {"queue_name": "default", "task_name": "mail.send", "priority": 0, "status": "todo", "attempts": 0}
        queued = [job | {"args": {"mail": number}, "abort_requested": False} for number in numbers]
        async with project.runtime.database.transaction() as session:
            connection = await session.connection()
            await connection.execute(insert(MailMessage), [row] * len(numbers))
            await connection.execute(insert(jobs), queued)
        started = time.monotonic()
        report = await project.runtime.tasks.drain(timedelta(seconds=0.5))
        assert time.monotonic() - started < 4
        assert report.time_up
        async with project.client(headers=BEARER) as operator:
            started = time.process_time()
            page = await operator.get("/oppman/mail", headers=BROWSER)
            assert time.process_time() - started < 1
            assert len(page.content) < 60_000
            counts = (await operator.get("/oppman/mail")).json()["counts"]
    assert counts["queued"] + counts["sent"] == len(numbers)
