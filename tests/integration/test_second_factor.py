"""The second factor as its owner and as an attacker with the password see it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from fastopp.features.accounts.client import Client
from fastopp.features.accounts.lockout import TooManyAttempts
from fastopp.features.accounts.models import AuditLog, User, UserSession
from fastopp.features.accounts.service import change_password, get_user
from fastopp.features.mail.models import MailMessage
from fastopp.features.mail.service import open_mail
from fastopp.features.second_factor import changing
from fastopp.features.second_factor.checking import WrongCode, check_code
from fastopp.features.second_factor.codes import STEP, code_at, new_secret
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from fastopp.testing import ManualClock
from tests.integration.accounts_fixtures import *  # noqa: F403 - fixtures
from tests.services.ops_project import ADMIN, BROWSER, PRODUCTION, Project, running, use_form_token

STAFF = ("staff@example.com", "test123")
HERE = Client("192.0.2.1", "a test")
MAIL = {"MAIL_URL": "console:", "MAIL_FROM": "Site <site@example.com>", "SITE_URL": "https://site.test"}
STEP_PAGE = "/login/second-factor"
SET_UP = "/login/second-factor/set-up"

ENVIRON = PRODUCTION | MAIL


@pytest.fixture
async def required(url: str, tmp_path: Any, clock: ManualClock) -> AsyncIterator[Project]:
    environ = PRODUCTION | {"REQUIRE_SECOND_FACTOR": "staff"}
    async with running(url, tmp_path, environ, clock=clock) as project:
        yield project


async def user_of(project: Project, email: str = STAFF[0]) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, email)


async def give_factor(project: Project, email: str = STAFF[0]) -> tuple[User, bytes, list[str]]:
    """An account's secret, and its recovery codes. The code of this moment is used up."""
    runtime, secret, user = project.runtime, new_secret(), await user_of(project, email)
    async with runtime.database.transaction() as session:
        code, mail = code_now(project, secret), open_mail(runtime, session)
        codes = await changing.set_up(session, runtime, user, secret, code, HERE, mail)
    return user, secret, codes


def code_now(project: Project, secret: bytes, *, steps: int = 0) -> str:
    return code_at(secret, int(project.runtime.clock.time() // STEP) + steps)


async def enter_password(client: httpx.AsyncClient, account: tuple[str, str] = STAFF, **fields: str) -> httpx.Response:
    return await client.post("/login", data={"username": account[0], "password": account[1], **fields})


async def send_code(client: httpx.AsyncClient, code: str) -> httpx.Response:
    await use_form_token(client, STEP_PAGE)
    return await client.post(STEP_PAGE, data={"code": code}, headers=BROWSER)


async def is_signed_in(client: httpx.AsyncClient) -> bool:
    return (await client.get("/account/sessions")).status_code == 200


async def actions(project: Project) -> list[str]:
    return [row.action for row in await project.all(AuditLog)]


async def outcomes(attempts: list[Any]) -> list[str]:
    done = await asyncio.gather(*attempts, return_exceptions=True)
    return sorted(type(each).__name__ for each in done)


async def test_the_password_alone_opens_nothing(project: Project, clock: ManualClock) -> None:
    _, secret, _ = await give_factor(project)
    clock.advance(STEP)
    async with project.client() as client:
        answer = await enter_password(client, next="/webinars?page=2")
        assert (answer.status_code, answer.headers["location"]) == (302, STEP_PAGE)
        assert not await is_signed_in(client)
        assert [row for row in await project.all(UserSession) if row.kind == "browser"] == []
        wrong = await send_code(client, "000000")
        assert wrong.status_code == 401
        assert not await is_signed_in(client)
        right = await send_code(client, code_now(project, secret))
        assert (right.status_code, right.headers["location"]) == (302, "/webinars?page=2")
        assert await is_signed_in(client)
    assert [action for action in await actions(project) if "factor" in action] == [
        "add second factor",
        "second factor failed",
        "use second factor",
    ]


async def test_the_note_ends(project: Project, clock: ManualClock) -> None:
    _, secret, _ = await give_factor(project)
    async with project.client() as client:
        await enter_password(client)
        clock.advance(5 * 60)
        answer = await client.get(STEP_PAGE)
        assert answer.headers["location"] == "/login"
    async with project.client() as client:
        await enter_password(client)
        await use_form_token(client, STEP_PAGE)
        async with project.runtime.database.transaction() as session:
            await change_password(session, email=STAFF[0], password="quite another one")
        answer = await client.post(STEP_PAGE, data={"code": code_now(project, secret)})
        assert answer.headers["location"] == "/login"
        assert not await is_signed_in(client)


async def test_a_code_is_for_one_use_and_the_clock_may_be_off_by_a_step(project: Project, clock: ManualClock) -> None:
    user, secret, _ = await give_factor(project)
    used = code_now(project, secret)
    with pytest.raises(WrongCode):
        await check_code(project.runtime, user, used, HERE)
    clock.advance(10 * STEP)
    for steps in (-2, 2):
        with pytest.raises(WrongCode):
            await check_code(project.runtime, user, code_now(project, secret, steps=steps), HERE)
    await check_code(project.runtime, user, code_now(project, secret, steps=-1), HERE)
    await check_code(project.runtime, user, code_now(project, secret, steps=1), HERE)
    with pytest.raises(WrongCode):  # older than the newest one that was used
        await check_code(project.runtime, user, code_now(project, secret), HERE)


async def test_of_many_uses_of_a_code_one_succeeds(either: Project, clock: ManualClock) -> None:
    user, secret, _ = await give_factor(either)
    clock.advance(STEP)
    code = code_now(either, secret)
    done = await outcomes([check_code(either.runtime, user, code, HERE) for _ in range(4)])
    assert done == ["NoneType", "WrongCode", "WrongCode", "WrongCode"]


async def test_of_many_set_ups_one_succeeds(either: Project) -> None:
    done = await outcomes([give_factor(either) for _ in range(3)])
    assert done == ["AlreadySetUp", "AlreadySetUp", "tuple"]
    assert (len(await either.all(SecondFactor)), len(await either.all(RecoveryCode))) == (1, 10)


async def test_of_many_uses_of_a_recovery_code_one_succeeds(either: Project) -> None:
    user, _, codes = await give_factor(either)
    spelt = codes[0].lower().replace("-", " ")
    done = await outcomes([check_code(either.runtime, user, spelt, HERE) for _ in range(4)])
    assert done == ["NoneType", "WrongCode", "WrongCode", "WrongCode"]
    assert len(await either.all(RecoveryCode)) == 9


async def test_guesses_sent_at_once_are_locked(either: Project, clock: ManualClock) -> None:
    user, secret, codes = await give_factor(either)
    clock.advance(STEP)
    guesses = [check_code(either.runtime, user, "not-a-code", HERE) for _ in range(12)]
    assert await outcomes(guesses) == ["TooManyAttempts"] * 7 + ["WrongCode"] * 5
    for right in (code_now(either, secret), codes[0]):
        with pytest.raises(TooManyAttempts):
            await check_code(either.runtime, user, right, HERE)
    clock.advance(60)
    await check_code(either.runtime, user, code_now(either, secret), HERE)


async def test_who_needs_a_factor_is_led_to_set_it_up(required: Project, clock: ManualClock) -> None:
    async with required.client() as client:
        answer = await enter_password(client, next="/protected")
        assert answer.headers["location"] == SET_UP
        assert (await client.get("/protected")).status_code == 401
        await use_form_token(client, SET_UP)
        page = await client.get(SET_UP, headers=BROWSER)
        assert "<svg" in page.text
        assert "style=" not in page.text
        secret = secret_on(page)
        wrong = await client.post(SET_UP, data={"code": "000000"}, headers=BROWSER)
        assert wrong.status_code == 422
        assert secret_on(wrong) == secret
        done = await client.post(SET_UP, data={"code": code_now(required, secret)}, headers=BROWSER)
        assert done.status_code == 200, done.text
        codes = re.findall(r"(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}", done.text)
        assert len(codes) == 10
        assert 'href="/protected"' in done.text
        assert await is_signed_in(client)
    async with required.client() as client:
        await enter_password(client)
        reused = await send_code(client, code_now(required, secret))
        assert reused.status_code == 401
        assert (await send_code(client, codes[3])).status_code == 302
        assert await is_signed_in(client)
    stored = (await required.all(SecondFactor))[0]
    assert secret.hex() not in stored.secret
    assert all(code not in row.digest for row in await required.all(RecoveryCode) for code in codes)


def secret_on(page: httpx.Response) -> bytes:
    import base64

    found = re.search(r"<code[^>]*>((?:[A-Z2-7]{4} ?){8})</code>", page.text)
    assert found, page.text
    return base64.b32decode(found[1].replace(" ", ""))


async def test_a_program_sends_the_code(project: Project, clock: ManualClock) -> None:
    _, secret, _ = await give_factor(project)
    clock.advance(STEP)
    form = {"username": STAFF[0], "password": STAFF[1]}
    async with project.client() as client:
        missing = await client.post("/api/token", data=form)
        assert (missing.status_code, "otp" in missing.text) == (401, True)
        wrong = await client.post("/api/token", data=form | {"otp": "123"})
        assert wrong.status_code == 401
        right = await client.post("/api/token", data=form | {"otp": code_now(project, secret)})
        assert right.status_code == 200, right.text
        again = await client.post("/api/token", data=form | {"otp": code_now(project, secret)})
        assert again.status_code == 401


async def test_a_program_of_an_account_that_has_to_set_one_up(required: Project) -> None:
    async with required.client() as client:
        answer = await client.post("/api/token", data={"username": STAFF[0], "password": STAFF[1]})
        assert (answer.status_code, "/login" in answer.text) == (403, True)


async def test_the_admin_asks_too(project: Project) -> None:
    await give_factor(project)
    async with project.client() as client:
        answer = await client.post("/admin/login", data={"username": STAFF[0], "password": STAFF[1]})
        assert answer.headers["location"] == STEP_PAGE
        assert not await is_signed_in(client)


async def test_set_up_renew_and_remove_on_the_account_page(project: Project, clock: ManualClock) -> None:
    page = "/account/second-factor"
    async with project.signed_in(*STAFF) as client:
        shown = await client.get(f"{page}/set-up", headers=BROWSER)
        secret = secret_on(shown)
        done = await client.post(f"{page}/set-up", data={"code": code_now(project, secret)}, headers=BROWSER)
        assert done.status_code == 200, done.text
        again = await client.get(f"{page}/set-up", headers=BROWSER)
        assert again.headers["location"] == page
        clock.advance(STEP)
        before = {row.digest for row in await project.all(RecoveryCode)}
        assert (await client.post(f"{page}/recovery-codes", data={"code": "1"}, headers=BROWSER)).status_code == 401
        code = code_now(project, secret)
        renewed = await client.post(f"{page}/recovery-codes", data={"code": code}, headers=BROWSER)
        assert renewed.status_code == 200
        assert before.isdisjoint(row.digest for row in await project.all(RecoveryCode))
        clock.advance(STEP)
        code = code_now(project, secret)
        refused = await client.post(f"{page}/remove", data={"password": "wrong", "code": code}, headers=BROWSER)
        assert refused.status_code == 401
        refused = await client.post(f"{page}/remove", data={"password": STAFF[1], "code": "1"}, headers=BROWSER)
        assert refused.status_code == 401
        removed = await client.post(f"{page}/remove", data={"password": STAFF[1], "code": code}, headers=BROWSER)
        assert removed.headers["location"] == page
    assert [*await project.all(SecondFactor), *await project.all(RecoveryCode)] == []
    mails = [mail.text for mail in await project.all(MailMessage)]
    assert len(mails) == 3
    assert all("192.0.2" in mail or "203.0.113.9" in mail for mail in mails)


async def test_an_old_sign_in_sets_nothing_up(project: Project, clock: ManualClock) -> None:
    async with project.signed_in(*STAFF) as client:
        await client.get("/account/second-factor/set-up", headers=BROWSER)
        clock.advance(20 * 60)
        for answer in (
            await client.get("/account/second-factor/set-up", headers=BROWSER),
            await client.post("/account/second-factor/set-up", data={"code": "123456"}, headers=BROWSER),
        ):
            assert answer.headers["location"].startswith("/account/confirm"), answer.text


async def test_confirming_an_old_sign_in_takes_a_code_too(project: Project, clock: ManualClock) -> None:
    async with project.signed_in(*STAFF) as client:
        _, secret, _ = await give_factor(project)
        clock.advance(16 * 60)
        answer = await client.post("/account/confirm", data={"password": STAFF[1], "next": "/account/password"})
        assert answer.headers["location"] == STEP_PAGE
        answer = await send_code(client, code_now(project, secret))
        assert answer.headers["location"] == "/account/password"
        page = await client.get("/account", headers=BROWSER)
        assert 'href="/account/second-factor"' in page.text
        assert "/account/passkeys" not in page.text


async def test_a_superuser_resets_a_factor(project: Project) -> None:
    await give_factor(project)
    async with project.signed_in(*ADMIN) as client:
        answer = await client.post("/oppman/reset-factor", data={"email": STAFF[0]})
        assert answer.status_code == 200, answer.text
    async with project.signed_in(*STAFF) as client:
        assert (await client.post("/oppman/reset-factor", data={"email": ADMIN[0]})).status_code == 403
    assert "reset factors" in await actions(project)
    assert [*await project.all(SecondFactor), *await project.all(RecoveryCode)] == []


async def test_after_a_new_secret_key_a_recovery_code_works(project: Project, clock: ManualClock) -> None:
    user, secret, codes = await give_factor(project)
    other = (await give_factor(project, ADMIN[0]))[0]
    async with project.runtime.database.transaction() as session:  # another account's is as unreadable
        sealed = (await session.exec(select(SecondFactor.secret).where(col(SecondFactor.user_id) == other.id))).one()
        await session.exec(update(SecondFactor).where(col(SecondFactor.user_id) == user.id).values(secret=sealed))
    clock.advance(STEP)
    async with project.client() as client:
        await enter_password(client)
        answer = await send_code(client, code_now(project, secret))
        assert (answer.status_code, "recovery code" in answer.text) == (409, True)
        assert (await send_code(client, codes[0])).status_code == 302


async def test_no_factor_costs_one_query_at_sign_in(project: Project) -> None:
    from sqlalchemy import event

    seen: list[str] = []
    engine = project.runtime.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
    async with project.signed_in(*STAFF) as client:
        assert len([text for text in seen if "second_factors" in text]) == 1
        seen.clear()
        await client.get("/protected", headers=BROWSER)
        assert [text for text in seen if "second_factors" in text or "passkeys" in text] == []
