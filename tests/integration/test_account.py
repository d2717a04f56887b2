"""The pages of /account: what a user changes, what needs the password again, and what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from fastopp.features.account import address
from fastopp.features.accounts.fresh import FRESH_FOR
from fastopp.features.accounts.models import AccountLink, AuditLog, User, UserSession
from fastopp.features.accounts.service import get_user
from fastopp.features.mail.models import MailMessage
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import ADMIN, BROWSER, PRODUCTION, Project, initialised, running, use_form_token

STAFF = ("staff@example.com", "test123")
TAKEN = "john@example.com"
NEW = "new@example.com"
STRONG = "seventeen green teapots"
MAIL = PRODUCTION | {"MAIL_URL": "file:mails", "MAIL_FROM": "shop@example.com", "SITE_URL": "https://shop.example.com"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0 <b>"
STALE = FRESH_FOR.total_seconds() + 1

url = url_on("sqlite", fill=initialised)
each_url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url: str, tmp_path: Any, clock: ManualClock) -> AsyncIterator[Project]:
    async with running(url, tmp_path, PRODUCTION, clock=clock) as project:
        yield project


@pytest.fixture
async def mailing(each_url: str, tmp_path: Any, clock: ManualClock) -> AsyncIterator[Project]:
    async with running(each_url, tmp_path, MAIL, clock=clock) as project:
        yield project


@asynccontextmanager
async def browser(project: Project, account: tuple[str, str] = STAFF) -> AsyncIterator[httpx.AsyncClient]:
    async with project.signed_in(*account) as client:
        client.headers.update(BROWSER)
        yield client


async def user_of(project: Project, email: str = STAFF[0]) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, email)


async def actions(project: Project) -> list[str]:
    async with project.runtime.database.read() as session:
        rows = (await session.exec(select(AuditLog).order_by(col(AuditLog.timestamp)))).all()
    return [row.action for row in rows]


def path_in(mail: MailMessage) -> str:
    found = re.search(r"https://shop\.example\.com(/account/\S+)", mail.text or "")
    assert found, mail.text
    return found[1]


async def mails(project: Project) -> list[MailMessage]:
    return list(await project.all(MailMessage))


async def test_the_profile_is_saved_and_shown_in_its_time_zone(project: Project) -> None:
    async with browser(project) as client:
        form = {"name": "Ada", "time_zone": "America/New_York"}
        answer = await client.post("/account", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account?done=profile")
        page = (await client.get("/account?done=profile")).text
        assert "Your profile was saved." in page
        assert 'value="Ada"' in page
        user = await user_of(project)
        assert (user.name, user.time_zone, user.language) == ("Ada", "America/New_York", None)
        for bad in ({"time_zone": "Mars/Base"}, {"language": "fr"}, {"name": "x" * 101}, {"time_zone": "../../etc"}):
            assert (await client.post("/account", data=bad)).status_code == 422, bad
        assert (await client.post("/account", data={})).status_code == 303
        user = await user_of(project)
        assert (user.name, user.time_zone) == (None, None)
    assert "update" in await actions(project)


async def test_only_for_those_who_are_signed_in_and_in_a_browser(project: Project) -> None:
    async with project.client(headers=BROWSER) as stranger:
        for path in ("/account", "/account/sessions", "/account/delete", "/account/export", "/account/address"):
            answer = await stranger.get(path)
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login"), path
            assert (await stranger.post("/account", data={"name": "x"})).status_code == 401
    form = {"username": ADMIN[0], "password": ADMIN[1]}
    async with project.client() as program:
        token = (await program.post("/api/token", data=form)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        for path in ("/account/password", "/account/delete", "/account/address", "/account", "/account/confirm"):
            assert (await program.post(path, data={"password": ADMIN[1]}, headers=bearer)).status_code == 403, path
        assert (await program.get("/account/export", headers=bearer)).status_code == 403


async def test_a_form_of_another_site_is_refused(project: Project) -> None:
    async with browser(project) as client:
        del client.headers["X-CSRF-Token"]
        for path in ("/account", "/account/password", "/account/delete", "/account/sign-out-everywhere"):
            assert (await client.post(path, data={"password": STAFF[1]})).status_code == 403, path


async def test_what_changes_who_may_sign_in_needs_a_fresh_sign_in(project: Project, clock: ManualClock) -> None:
    async with browser(project) as client:
        clock.advance(STALE)
        for path in ("/account/address", "/account/password", "/account/delete", "/account/export"):
            answer = await client.get(path)
            assert answer.headers["location"] == f"/account/confirm?next={path.replace('/', '%2F')}", path
        for path in ("/account/address", "/account/password", "/account/delete", "/account/tokens/new"):
            answer = await client.post(path, data={"password": STRONG, "again": STRONG, "email": NEW})
            assert answer.headers["location"].startswith("/account/confirm"), path
        wanted = {"name": "a robot", "scopes": ["read"]}
        assert (await client.post("/account/tokens", json=wanted, headers={"Accept": "*/*"})).status_code == 403
        assert 'action="/account/tokens/new"' not in (await client.get("/account/tokens")).text
        assert (await client.get("/account")).status_code == 200

        wrong = await client.post("/account/confirm", data={"password": "wrong", "next": "/account/password"})
        assert (wrong.status_code, "This is not your password." in wrong.text) == (422, True)
        right = {"password": STAFF[1], "next": "/account/password"}
        before = await project.all(UserSession)
        answer = await client.post("/account/confirm", data=right)
        assert (answer.status_code, answer.headers["location"]) == (302, "/account/password")
        assert len(await project.all(UserSession)) == len(before)
        assert (await client.get("/account/password")).status_code == 200
        elsewhere = await client.post("/account/confirm", data=right | {"next": "https://evil.example/"})
        assert elsewhere.status_code == 403  # the form of the session before
        await use_form_token(client, "/account")
        elsewhere = await client.post("/account/confirm", data=right | {"next": "https://evil.example/"})
        assert elsewhere.headers["location"] == "/account"


async def test_guesses_at_the_password_are_counted(project: Project, clock: ManualClock) -> None:
    async with browser(project) as client:
        for _ in range(5):
            assert (await client.post("/account/confirm", data={"password": "wrong"})).status_code == 422
        locked = await client.post("/account/confirm", data={"password": STAFF[1]})
        assert (locked.status_code, locked.headers["retry-after"]) == (429, "30")
        refused = await client.post("/account/delete", data={"password": STAFF[1]})
        assert refused.status_code == 429
        assert (await user_of(project)).is_active
    assert "sign in failed" in await actions(project)


async def test_a_new_password_ends_every_other_session(mailing: Project) -> None:
    async with browser(mailing) as client, browser(mailing) as other:
        for form, words in (
            ({"password": STRONG, "again": "another"}, "The two passwords differ."),
            ({"password": "short", "again": "short"}, "too short"),
            ({"password": "", "again": ""}, "Enter a value."),
        ):
            answer = await client.post("/account/password", data=form)
            assert (answer.status_code, words in answer.text) == (422, True), words
        answer = await client.post("/account/password", data={"password": STRONG, "again": STRONG})
        assert answer.headers["location"] == "/account?done=password"
        assert (await client.get("/account")).status_code == 200
        assert (await other.get("/account")).status_code == 303
    assert [mail.template for mail in await mails(mailing)] == ["account/mail/password_changed"]
    assert "change password" in await actions(mailing)
    async with browser(mailing, (STAFF[0], STRONG)):
        pass


async def test_an_address_is_confirmed_at_the_new_one_and_undone_from_the_old(
    mailing: Project, clock: ManualClock
) -> None:
    async with browser(mailing) as client, browser(mailing) as thief:
        assert (await client.post("/account/address", data={"email": "no address"})).status_code == 422
        same = await client.post("/account/address", data={"email": STAFF[0]})
        assert "This is your address already." in same.text
        answer = await client.post("/account/address", data={"email": NEW})
        assert answer.headers["location"] == "/account?done=address-requested"
        assert (await user_of(mailing)).email == STAFF[0]
        [mail] = await mails(mailing)
        assert mail.recipient == NEW
        page = path_in(mail)

        for _ in range(2):  # a mail scanner, and the user
            assert (await client.get(page)).status_code == 200
        async with browser(mailing, ADMIN) as stranger:
            assert (await stranger.get(page)).status_code == 410
            assert (await stranger.post(page)).status_code == 410
        async with mailing.client(headers=BROWSER) as visitor:
            assert (await visitor.get(page)).status_code == 303
        answer = await client.post(page)
        assert answer.headers["location"] == "/account?done=address"
        assert (await client.post(page)).status_code == 410
        changed = await user_of(mailing, NEW)
        assert changed.email_confirmed

        [_, told] = await mails(mailing)
        assert (told.recipient, NEW in (told.text or "")) == (STAFF[0], True)
        # Whoever took the account over changes the password too, which must not end the way back.
        await thief.post("/account/password", data={"password": STRONG, "again": STRONG})
        back = path_in(told)
        async with mailing.client(headers=BROWSER) as owner:
            assert (await owner.get(back)).status_code == 200
            await use_form_token(owner, back)
            assert (await owner.post(back, data={"password": "short"})).status_code == 422
            answer = await owner.post(back, data={"password": "eleven brown kettles"})
            assert answer.headers["location"] == "/login"
            assert (await owner.post(back, data={"password": "eleven brown kettles"})).status_code == 410
        assert (await thief.get("/account")).status_code == 303
        assert (await user_of(mailing)).id == changed.id
    async with browser(mailing, (STAFF[0], "eleven brown kettles")):
        pass
    seen = await actions(mailing)
    assert {"request address", "change address", "restore address"} <= set(seen)


async def test_the_way_back_ends_after_a_week(mailing: Project, clock: ManualClock) -> None:
    async with browser(mailing) as client:
        await client.post("/account/address", data={"email": NEW})
        await client.post(path_in((await mails(mailing))[0]))
        clock.advance(address.UNDO_WITHIN.total_seconds() + 1)
    async with mailing.client(headers=BROWSER) as owner:
        back = path_in((await mails(mailing))[1])
        assert (await owner.get(back)).status_code == 410


async def test_a_taken_address_gets_the_same_answer(mailing: Project) -> None:
    async with browser(mailing) as client:
        answers = [await client.post("/account/address", data={"email": email}) for email in (NEW, TAKEN.upper())]
    assert len({(answer.status_code, answer.headers["location"], answer.text) for answer in answers}) == 1
    sent = {mail.recipient: mail for mail in await mails(mailing)}
    assert set(sent) == {NEW, TAKEN}
    assert "/account/address" not in (sent[TAKEN].text or "")
    assert len(await mailing.all(AccountLink)) == 1  # of the last request only


async def test_requests_for_another_address_are_limited(mailing: Project) -> None:
    async with browser(mailing) as client:
        for number in range(address.REQUESTS):
            answer = await client.post("/account/address", data={"email": f"n{number}@example.com"})
            assert answer.status_code == 303
        answer = await client.post("/account/address", data={"email": "one-more@example.com"})
        assert (answer.status_code, "Too many failed attempts." in answer.text) == (422, True)
    assert len(await mails(mailing)) == address.REQUESTS


async def test_an_address_that_was_taken_meanwhile(mailing: Project) -> None:
    async with browser(mailing) as client:
        await client.post("/account/address", data={"email": NEW})
        async with mailing.runtime.database.transaction() as session:
            await session.exec(update(User).where(col(User.email) == TAKEN).values(email=NEW))
        page = path_in((await mails(mailing))[0])
        assert (await client.post(page)).status_code == 409
        assert (await client.get(page)).status_code == 200  # it was not used


async def test_without_mail_the_address_is_changed_at_once(project: Project) -> None:
    async with browser(project) as client:
        form = {"email": NEW, "password": "wrong"}
        assert "This is not your password." in (await client.post("/account/address", data=form)).text
        taken = await client.post("/account/address", data={"email": TAKEN, "password": STAFF[1]})
        assert (taken.status_code, "There is already an account" in taken.text) == (422, True)
        answer = await client.post("/account/address", data={"email": NEW, "password": STAFF[1]})
        assert answer.headers["location"] == "/account?done=address"
        assert (await user_of(project, NEW)).email_confirmed
        assert NEW in (await client.get("/account")).text


async def test_sessions_are_listed_and_ended_by_forms(project: Project) -> None:
    async with browser(project) as client, browser(project) as other:
        async with project.runtime.database.transaction() as session:
            row = (await session.exec(select(UserSession).where(col(UserSession.kind) == "browser"))).first()
            row.user_agent = FIREFOX
        page = (await client.get("/account/sessions")).text
        assert page.count("this browser") == 2, "a badge, and the sentence about all"
        assert "203.0.113.9" in page
        assert page.count(f'<span title="{escape(FIREFOX)}">Firefox on Linux</span>') == 1
        assert 'aria-label="Sign out: Firefox on Linux"' in page
        ids = re.findall(r"/account/sessions/([0-9a-f-]{36})/end", page)
        listed = (await client.get("/account/sessions", headers={"Accept": "application/json"})).json()
        own = next(each["id"] for each in listed if each["current"])
        (elsewhere,) = set(ids) - {own}
        answer = await client.post(f"/account/sessions/{elsewhere}/end")
        assert answer.headers["location"] == "/account/sessions?done=session"
        assert (await client.post(f"/account/sessions/{elsewhere}/end")).status_code == 404
        assert (await other.get("/account")).status_code == 303
        answer = await client.post(f"/account/sessions/{own}/end")
        assert answer.headers["location"] == "/login"
        assert "access_token" not in client.cookies
    async with browser(project) as client:
        answer = await client.post("/account/sign-out-everywhere")
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert await project.all(UserSession) == []


async def test_a_token_is_shown_once(project: Project) -> None:
    async with browser(project) as client:
        assert "There are none." in (await client.get("/account/tokens")).text
        form = {"name": "a <b>robot</b>", "scopes": ["read", "write"], "expires_in_days": "30"}
        answer = await client.post("/account/tokens/new", data=form)
        found = re.search(r"fastopp_[0-9a-f]{32}_[\w-]{43}", answer.text)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert found
        page = (await client.get("/account/tokens")).text
        assert "a &lt;b&gt;robot" in page
        assert found[0] not in page
        headers = {"Authorization": f"Bearer {found[0]}"}
        async with project.client(headers=headers) as program:
            assert (await program.get("/protected")).status_code == 200
            revoke = re.search(r"/account/tokens/[0-9a-f-]{36}/revoke", page)
            assert revoke
            answer = await client.post(revoke[0])
            assert answer.headers["location"] == "/account/tokens?done=token"
            assert (await program.get("/protected")).status_code == 401
        for bad in (
            {"name": "x"},
            {"scopes": ["read"]},
            {"name": "x", "scopes": ["all"]},
            form | {"expires_in_days": "0"},
        ):
            assert (await client.post("/account/tokens/new", data=bad)).status_code == 422, bad
        answer = await client.post("/account/tokens/new", data={"name": "x", "scopes": ["operations"]})
        assert (answer.status_code, "Only a superuser" in answer.text) == (400, True)
        assert (await client.get("/account/tokens/new")).headers["location"] == "/account/tokens"
    assert [row.kind for row in await project.all(UserSession)] == ["browser"]
