"""Password reset over HTTP: one answer for every address, one use, and what ends with it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, delete, select, update

from fastopp.features.accounts.links import create_link
from fastopp.features.accounts.models import AccountLink, AuditLog, User, UserSession, utc_now
from fastopp.features.accounts.service import change_password, get_user
from fastopp.features.mail.models import MailMessage
from fastopp.features.passkeys.models import Passkey
from fastopp.features.password_reset.service import LIFETIME
from fastopp.features.providers.models import ExternalIdentity
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from fastopp.tasks.worker.drain import drain
from fastopp.testing import ManualClock
from tests.integration.accounts_fixtures import *  # noqa: F403 - fixtures
from tests.services.account_mails import BUDGET, PASSWORD, WITH_MAIL, later, mails, measured, path_in, token_in
from tests.services.ops_project import BROWSER, QUIET, Project, running

OWNER = "staff@example.com"

ENVIRON = WITH_MAIL | QUIET


async def ask(project: Project, email: str = OWNER, address: str = "203.0.113.9") -> httpx.Response:
    async with project.client(address) as client:
        return await client.post("/forgot-password", data={"email": email}, headers=BROWSER)


async def work(project: Project) -> list[MailMessage]:
    """Run the tasks that write the mails, but not those that send them, and so remove their texts."""
    for job in await project.runtime.tasks.list(status="waiting"):
        if job.name == "password-reset.send":
            await drain(project.runtime, BUDGET, only=job.id)
    return await mails(project)


async def link_to(project: Project) -> str:
    """The token that the owner gets."""
    await ask(project)
    return token_in((await work(project))[-1])


async def set_password(project: Project, token: str, password: str = PASSWORD) -> httpx.Response:
    async with project.client() as client:
        form = {"token": token, "password": password}
        return await client.post("/reset-password", data=form, headers=BROWSER)


async def owner_of(project: Project) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, OWNER)


async def test_from_the_form_to_the_new_password(either: Project) -> None:
    async with either.signed_in(OWNER, "test123") as thief, either.client() as client:
        assert "Forgot your password?" in (await client.get("/login", headers=BROWSER)).text
        assert (await client.get("/forgot-password", headers=BROWSER)).status_code == 200
        answer = await ask(either, OWNER.upper())
        assert "30 minutes" in answer.text
        assert await either.all(MailMessage) == [], "a task looks whether there is an account"
        [mail] = await work(either)
        assert mail.recipient == OWNER
        for _ in range(2):  # a mail scanner, and the owner
            page = await client.get(path_in(mail), headers=BROWSER)
            assert page.status_code == 200
            assert page.headers["referrer-policy"] == "same-origin"
        assert (await thief.get("/account/sessions")).status_code == 200
        weak = await set_password(either, token_in(mail), "password1")
        assert weak.status_code == 422
        assert "too easy to guess" in weak.text
        done = await set_password(either, token_in(mail))
        assert done.status_code == 200
        assert "The password is set" in done.text
        assert (await thief.get("/account/sessions")).status_code == 401
        assert (await set_password(either, token_in(mail), "another long one")).status_code == 410
        client.cookies.clear()
        assert (await client.post("/login", data={"username": OWNER, "password": "test123"})).status_code == 401
        client.cookies.clear()
        assert (await client.post("/login", data={"username": OWNER, "password": PASSWORD})).status_code == 302
    recorded = {row.action: row for row in await either.all(AuditLog)}
    assert recorded["request password reset"].ip_address == "203.0.113.9"
    assert recorded["reset password"].user_id == (await owner_of(either)).id
    [_, told] = await mails(either)
    assert (told.recipient, told.template) == (OWNER, "accounts/mail/password_was_reset")


async def test_every_address_gets_the_same_answer_for_the_same_work(
    either: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(either, "first@example.com")
    pages, shapes = set(), []
    for email in (OWNER, "unknown@example.com", "bob@example.com"):  # bob is deactivated
        with measured(either, monkeypatch) as done:
            answer = await ask(either, email)
        text = "\n".join(line for line in answer.text.splitlines() if "nonce" not in line and "csrf" not in line)
        pages.add((answer.status_code, text.replace(email, "")))
        shapes.append(done.shape())
    assert len(pages) == 1
    assert shapes[0] == shapes[1] == shapes[2]
    assert shapes[0][1] == 0
    assert [mail.recipient for mail in await work(either)] == [OWNER]


async def test_two_requests_at_once_and_what_ends_with_the_first(project: Project) -> None:
    await asyncio.gather(ask(project), ask(project))
    first, second = (token_in(mail) for mail in await work(project))
    assert (await set_password(project, second)).status_code == 200
    assert (await set_password(project, first, "another long one")).status_code == 410
    assert await project.all(AccountLink) == []


async def test_one_link_is_used_once_by_many_at_once(either: Project) -> None:
    token = await link_to(either)
    answers = await asyncio.gather(*(set_password(either, token, f"long passphrase {n}") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 410, 410, 410]


async def test_a_link_ends_with_the_password_and_the_account(project: Project) -> None:
    token = await link_to(project)
    async with project.runtime.database.transaction() as session:
        await change_password(session, email=OWNER, password="changed at the desk")
    assert (await set_password(project, token)).status_code == 410
    token = await link_to(project)
    async with project.runtime.database.transaction() as session:
        user = await get_user(session, OWNER)
        user.is_active = False
        session.add(user)
    assert (await set_password(project, token)).status_code == 410
    async with project.runtime.database.transaction() as session:
        user = await get_user(session, OWNER)
        user.is_active = True
        session.add(user)
    token = await link_to(project)
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(AuditLog))
        await session.exec(delete(User).where(col(User.email) == OWNER))
    assert (await set_password(project, token)).status_code == 410


async def test_a_link_of_another_purpose_resets_nothing(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        user = await get_user(session, OWNER)
        token = await create_link(session, "confirm", user=user, lifetime=LIFETIME, clock=project.runtime.clock)
    assert (await set_password(project, token)).status_code == 410


@pytest.mark.parametrize(("minutes", "status"), [(-5, 200), (5, 200), (29, 200), (30, 410), (35, 410)])
async def test_half_an_hour_by_a_clock_that_may_be_off(
    project: Project, clock: ManualClock, minutes: int, status: int
) -> None:
    token = await link_to(project)
    later(clock, minutes=minutes)
    async with project.client() as client:
        page = await client.get("/reset-password", params={"token": token}, headers=BROWSER)
    assert page.status_code == status


@pytest.mark.parametrize("token", ["", "x", "0" * 32 + "_" + "a" * 43, "\0"])
async def test_forged_links(project: Project, token: str) -> None:
    assert (await set_password(project, token)).status_code == 410


async def test_a_reset_confirms_the_address_and_ends_the_lock(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        await session.exec(
            update(User).where(col(User.email) == OWNER).values(email_unconfirmed_since=utc_now(), is_staff=False)
        )
    async with project.client() as client:
        for _ in range(5):
            await client.post("/login", data={"username": OWNER, "password": "wrong-one"})
            client.cookies.clear()
        token = await link_to(project)
        assert (await set_password(project, token)).status_code == 200
        assert (await owner_of(project)).email_confirmed
        answer = await client.post("/login", data={"username": OWNER, "password": PASSWORD}, headers=BROWSER)
        assert answer.status_code == 403, "an ordinary user of a closed site, but neither locked nor wrong"
    assert await project.all(UserSession) == []


async def add_ways(project: Project) -> None:
    """An identity, a passkey and a second factor of the account."""
    user = (await owner_of(project)).id
    key = {"credential_id": "x", "public_key": b"x", "sign_count": 0, "last_challenge_at": utc_now()}
    async with project.runtime.database.transaction() as session:
        session.add(ExternalIdentity(provider="github", subject="1", user_id=user, email="jo@git.example"))
        session.add(Passkey(user_id=user, name="<my phone>", **key))
        session.add(SecondFactor(user_id=user, secret="x", last_step=0))
        session.add(RecoveryCode(user_id=user, digest="x"))


WAYS = (ExternalIdentity, Passkey, SecondFactor, RecoveryCode)


async def test_other_ways_to_sign_in_stay_and_are_named(either: Project) -> None:
    await add_ways(either)
    assert (await set_password(either, await link_to(either))).status_code == 200
    assert [len(await either.all(model)) for model in WAYS] == [1] * 4
    told = (await mails(either))[-1]
    assert "- GitHub (jo@git.example)\n- <my phone>\n" in (told.text or "")
    assert "<li>&lt;my phone&gt;</li>" in (told.html or "")
    async with either.client() as client:
        answer = await client.post("/login", data={"username": OWNER, "password": PASSWORD})
        assert answer.headers["location"] == "/login/second-factor"


async def test_ways_of_whoever_took_an_unconfirmed_address_go(either: Project) -> None:
    await add_ways(either)
    async with either.runtime.database.transaction() as session:
        await session.exec(update(User).where(col(User.email) == OWNER).values(email_unconfirmed_since=utc_now()))
    assert (await set_password(either, await link_to(either))).status_code == 200
    assert [len(await either.all(model)) for model in WAYS] == [0] * 4
    assert "continue to sign in" not in ((await mails(either))[-1].text or "")
    async with either.client() as client:
        answer = await client.post("/login", data={"username": OWNER, "password": PASSWORD})
        assert (answer.status_code, answer.headers["location"]) != (302, "/login/second-factor")
        assert "access_token" in client.cookies


async def test_requests_are_bounded_for_each_address_and_client(project: Project, clock: ManualClock) -> None:
    codes = [(await ask(project, address=f"198.51.100.{number}")).status_code for number in range(7)]
    assert codes == [200] * 5 + [429] * 2
    assert len(await work(project)) == 5
    codes = [(await ask(project, f"jo{number}@example.com")).status_code for number in range(22)]
    assert codes == [200] * 20 + [429] * 2
    refused = await ask(project, "jo@example.com")
    assert int(refused.headers["retry-after"]) > 0
    later(clock, hours=1, seconds=1)
    assert (await ask(project)).status_code == 200


@pytest.mark.parametrize(("email", "words"), [("", "Enter your email address."), ("nothing", "not an email address")])
async def test_mistakes(project: Project, email: str, words: str) -> None:
    answer = await ask(project, email)
    assert answer.status_code == 422
    assert words in answer.text


async def test_nothing_is_lost_while_the_mail_server_is_down(url: str, tmp_path: Path, clock: ManualClock) -> None:
    variables = WITH_MAIL | {"MAIL_URL": "smtp://127.0.0.1:9", "MAIL_FROM": "shop@example.com"}
    async with running(url, tmp_path, variables, clock=clock) as project:
        assert (await ask(project)).status_code == 200
        await project.runtime.tasks.drain(BUDGET)
        async with project.runtime.database.read() as session:
            mail = (await session.exec(select(MailMessage))).one()
        assert (mail.state, mail.attempts) == ("queued", 1)
        assert (await set_password(project, token_in(mail))).status_code == 200
