"""Sign-up over HTTP: one answer for every address, a link that is confirmed by a POST, and bounds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import col, select

from fastopp.features.accounts.models import AccountLink, AuditLog, User
from fastopp.features.accounts.service import find_user
from fastopp.features.mail.models import MailMessage
from fastopp.features.sign_up.service import KEPT
from fastopp.tasks.worker.drain import drain
from fastopp.testing import ManualClock
from tests.integration.accounts_fixtures import *  # noqa: F403 - fixtures
from tests.services.account_mails import BUDGET, PASSWORD, WITH_MAIL, later, mails, measured, path_in, token_in
from tests.services.ops_project import BROWSER, PRODUCTION, QUIET, Project, running, use_form_token

NEW, KNOWN = "New@Example.com", "staff@example.com"
OPEN = WITH_MAIL | {"SIGN_UP": "open"}

ENVIRON = OPEN | QUIET | {"DB_TIMEOUT": "60"}  # sixty at once wait for a connection, on a busy machine for long


async def sign_up(project: Project, email: str = NEW, *, address: str = "203.0.113.9", **typed: str) -> httpx.Response:
    form = {"email": email, "password": PASSWORD, "name": "Jo"} | typed
    async with project.client(address) as client:
        return await client.post("/sign-up", data=form, headers=BROWSER)


async def confirm(project: Project, token: str, password: str = PASSWORD) -> httpx.Response:
    """Confirm in another browser than that of the sign-up."""
    async with project.client() as client:
        form = {"token": token, "password": password}
        return await client.post("/sign-up/confirm", data=form, headers=BROWSER)


async def user_of(project: Project, email: str) -> User | None:
    async with project.runtime.database.read() as session:
        return await find_user(session, email)


async def test_from_the_form_to_the_site(either: Project) -> None:
    async with either.client() as client:
        page = await client.get("/login", params={"next": "/shop"}, headers=BROWSER)
        assert 'href="/sign-up?next=%2Fshop"' in page.text
        assert "Forgot your password?" in page.text
        assert "For staff" not in page.text
        assert (await client.get("/sign-up", headers=BROWSER)).status_code == 200
    answer = await sign_up(either, next="/shop?a=b")
    assert answer.status_code == 200
    assert "Check your mail" in answer.text
    assert await user_of(either, NEW) is None, "nothing is there before the address is confirmed"
    [mail] = await mails(either)
    assert mail.recipient == "New@example.com"
    async with either.client() as client:
        for _ in range(2):  # a mail scanner, and the owner
            page = await client.get(path_in(mail), headers=BROWSER)
            assert page.status_code == 200
            assert page.headers["cache-control"] == "no-store"
        assert await user_of(either, NEW) is None
        await use_form_token(client, path_in(mail))
        form = {"token": token_in(mail), "password": PASSWORD}
        answer = await client.post("/sign-up/confirm", data=form, headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (302, "/shop?a=b")
        # Signed in, as an ordinary user.
        again = await client.get("/login", headers=BROWSER)
        assert (again.status_code, again.headers["location"]) == (302, "/")
        assert (await client.get("/admin/", headers=BROWSER)).status_code == 403
        assert (await client.get("/oppman/")).status_code == 403
    user = await user_of(either, NEW)
    assert user is not None
    assert (user.name, user.is_staff, user.is_superuser, user.email_confirmed) == ("Jo", False, False, True)
    [entry] = [row for row in await either.all(AuditLog) if row.action == "sign up"]
    assert (entry.user_id, entry.ip_address) == (user.id, "203.0.113.9")
    assert (await confirm(either, token_in(mail))).status_code == 410
    async with either.client() as client:
        answer = await client.post("/login", data={"username": NEW, "password": PASSWORD, "next": "/admin/"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/")
        answer = await client.post("/admin/login", data={"username": NEW, "password": PASSWORD})
        assert answer.status_code == 403


async def test_the_browser_of_the_sign_up_needs_no_password_again(project: Project) -> None:
    async with project.client() as client:
        await client.post("/sign-up", data={"email": NEW, "password": PASSWORD}, headers=BROWSER)
        [mail] = await mails(project)
        page = await client.get(path_in(mail), headers=BROWSER)
        assert 'name="password"' not in page.text
        await use_form_token(client, path_in(mail))
        answer = await client.post("/sign-up/confirm", data={"token": token_in(mail)}, headers=BROWSER)
        assert (answer.status_code, answer.headers["location"]) == (302, "/")


async def test_who_did_not_sign_up_cannot_confirm_another_persons_password(project: Project) -> None:
    await sign_up(project)
    [mail] = await mails(project)
    async with project.client() as owner:
        # The owner of the address has signed up too, and opens the wrong mail.
        await owner.post("/sign-up", data={"email": NEW, "password": "the owner's own phrase"}, headers=BROWSER)
        page = await owner.get(path_in(mail), headers=BROWSER)
        assert 'name="password"' in page.text
        assert "another person may have typed your address" in page.text
        await use_form_token(owner, path_in(mail))
        for wrong in ("", "the owner's own phrase", "x" * 2000):
            form = {"token": token_in(mail), "password": wrong}
            answer = await owner.post("/sign-up/confirm", data=form, headers=BROWSER)
            assert (answer.status_code, "The password is wrong." in answer.text) == (422, True)
    assert await user_of(project, NEW) is None
    assert (await confirm(project, token_in(mail))).status_code == 302


async def test_guesses_at_the_password_of_a_link_are_counted(project: Project) -> None:
    await sign_up(project)
    [mail] = await mails(project)
    statuses = [(await confirm(project, token_in(mail), "wrong")).status_code for _ in range(21)]
    assert (set(statuses[:19]), statuses[-1]) == ({422}, 429)


async def test_every_address_gets_the_same_answer_for_the_same_work(
    either: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_up(either, "first@example.com")  # what the first request does once
    pages, work = {}, {}
    for email in ("unknown@example.com", KNOWN, KNOWN.upper(), "bob@example.com"):
        with measured(either, monkeypatch) as done:
            answer = await sign_up(either, email)
        local, _, domain = email.partition("@")
        pages[email] = answer.status_code, answer.text.replace(f"{local}@{domain.lower()}", "")
        work[email] = done.shape()
        assert work[email][1] == 1
    assert len({without_tokens(text) for _, text in pages.values()}) == 1
    assert len({code for code, _ in pages.values()}) == 1
    assert all(shape == work[KNOWN] for shape in work.values())
    assert {mail.template.rpartition("/")[2] for mail in await mails(either) if mail.recipient == KNOWN} == {
        "has_account"
    }
    assert all("token=" not in (mail.text or "") for mail in await mails(either) if mail.recipient == KNOWN)


def without_tokens(page: str) -> str:
    return "\n".join(line for line in page.splitlines() if "csrf" not in line and "nonce" not in line)


async def test_another_mail_costs_the_same_for_every_address(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    await sign_up(project)
    shapes, pages = [], set()
    async with project.client() as client:
        for email in (NEW, KNOWN, "unknown@example.com", "other@example.com"):
            with measured(project, monkeypatch) as done:
                answer = await client.post("/sign-up/again", data={"email": email}, headers=BROWSER)
            assert answer.status_code == 200, answer.text
            pages.add(without_tokens(answer.text.replace(email, "").replace("New@example.com", "")))
            shapes.append(done.shape())
            client.cookies.clear()
    assert len(pages) == 1
    assert all(shape == shapes[1] for shape in shapes[1:])
    await project.runtime.tasks.drain(BUDGET)
    templates = sorted((mail.recipient, mail.template.rpartition("/")[2]) for mail in await mails(project))
    assert templates == [("New@example.com", "confirm"), ("New@example.com", "confirm"), (KNOWN, "has_account")]


async def test_the_mail_that_was_sent_again_works_too(project: Project) -> None:
    await sign_up(project)
    async with project.client() as client:
        await client.post("/sign-up/again", data={"email": NEW.upper()}, headers=BROWSER)
    # Only the task that writes the mail: sending it removes its text.
    [job] = [job for job in await project.runtime.tasks.list(status="waiting") if job.name == "sign-up.send-again"]
    await drain(project.runtime, BUDGET, only=job.id)
    first, second = await mails(project)
    assert token_in(first) != token_in(second)
    assert (await confirm(project, token_in(second))).status_code == 302
    refused = await confirm(project, token_in(first))
    assert refused.status_code == 409, "there is an account by now"


async def test_a_link_is_good_for_one_use_at_a_time(either: Project) -> None:
    await sign_up(either)
    [mail] = await mails(either)
    answers = await asyncio.gather(*(confirm(either, token_in(mail)) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [302, 410, 410, 410]


async def test_a_link_expires_and_is_removed(project: Project, clock: ManualClock) -> None:
    await sign_up(project)
    [mail] = await mails(project)
    later(clock, days=KEPT.days, seconds=-1)
    async with project.client() as client:
        assert (await client.get(path_in(mail), headers=BROWSER)).status_code == 200
        later(clock, seconds=1)
        assert (await client.get(path_in(mail), headers=BROWSER)).status_code == 410
    assert (await confirm(project, token_in(mail))).status_code == 410
    await project.runtime.tasks.queue("clean-up")
    await project.runtime.tasks.drain(BUDGET)
    assert await project.all(AccountLink) == []


@pytest.mark.parametrize("token", ["", "x", "0" * 32 + "_" + "a" * 43, "é" * 200, "\0"])
async def test_forged_links(project: Project, token: str) -> None:
    async with project.client() as client:
        page = await client.get("/sign-up/confirm", params={"token": token}, headers=BROWSER)
        assert page.status_code == 410
    assert (await confirm(project, token)).status_code == 410


@pytest.mark.parametrize(
    ("typed", "status", "words"),
    [
        ({"email": ""}, 422, "Enter your email address."),
        ({"email": "nothing"}, 422, "not an email address"),
        ({"email": "a" * 65 + "@example.com"}, 422, "Not a valid email address"),
        ({"email": "jo@example.com\0"}, 422, "Enter your email address."),
        ({"email": "grüße@example.com"}, 422, "Not a valid email address"),
        ({"password": ""}, 422, "Enter a password"),
        ({"password": "short"}, 422, "too short"),
        ({"password": "password1"}, 422, "too easy to guess"),
        ({"password": "a" * 1025}, 422, "Enter a password"),
        ({"password": "new@example.com"}, 422, "too easy to guess"),
        ({"name": "n" * 101}, 422, "100 characters or fewer"),
        ({"name": "a\0b"}, 422, "another form"),
    ],
)
async def test_mistakes_are_shown_beside_the_fields(
    project: Project, typed: dict[str, str], status: int, words: str
) -> None:
    answer = await sign_up(project, **({"email": NEW} | typed))
    assert answer.status_code == status
    assert words in answer.text
    assert PASSWORD not in answer.text
    assert await project.all(AccountLink) == []


async def test_a_site_of_another_does_not_get_the_visitor(project: Project) -> None:
    await sign_up(project, next="//evil.example/")
    [mail] = await mails(project)
    assert (await confirm(project, token_in(mail))).headers["location"] == "/"


async def test_links_come_from_the_settings(project: Project) -> None:
    async with project.client() as client:
        form = {"email": NEW, "password": PASSWORD}
        headers = BROWSER | {"Host": "localhost", "X-Forwarded-Host": "evil.example"}
        assert (await client.post("/sign-up", data=form, headers=headers)).status_code == 200
    [mail] = await mails(project)
    assert "evil" not in f"{mail.text}{mail.html}"
    assert path_in(mail).startswith("/sign-up/confirm?token=")


async def test_one_address_gets_a_few_mails(project: Project, clock: ManualClock) -> None:
    codes = [(await sign_up(project, address=f"198.51.100.{number}")).status_code for number in range(8)]
    assert codes == [200] * 5 + [429] * 3
    assert len(await mails(project)) == 5
    refused = await sign_up(project, NEW.lower(), address="198.51.100.99")
    assert 0 < int(refused.headers["retry-after"]) <= 30
    later(clock, seconds=31)
    assert (await sign_up(project)).status_code == 200


async def test_one_client_is_bounded_and_others_are_not(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in 10,000 sign-ups in a minute: what is refused costs no hash and no mail."""
    with measured(project, monkeypatch) as work:
        answers = await asyncio.gather(*(sign_up(project, f"jo{number}@example.com") for number in range(60)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 60 - 20 - 10, "those that were under way together"
    assert len(work.hashes) == 60 - len(refused)
    assert len(await mails(project)) == 60 - len(refused)
    assert (await sign_up(project, address="198.51.100.1")).status_code == 200


async def test_nothing_is_open_by_default(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, PRODUCTION) as project, project.client() as client:
        page = await client.get("/login", headers=BROWSER)
        assert "/sign-up" not in page.text
        assert "/forgot-password" not in page.text
        assert "For staff" in page.text
        for path in ("/sign-up", "/sign-up/confirm", "/invitation", "/forgot-password", "/reset-password"):
            assert (await client.get(path, headers=BROWSER)).status_code in (404, 410), path
        client.cookies.clear()
        for path in ("/sign-up", "/sign-up/again", "/sign-up/confirm", "/invitation", "/forgot-password"):
            form = {"email": NEW, "password": PASSWORD, "token": "x"}
            assert (await client.post(path, data=form, headers=BROWSER)).status_code == 404, path


async def test_sign_up_without_mail(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(url, tmp_path, PRODUCTION | {"SIGN_UP": "open"}) as project:
        answer = await sign_up(project)
        assert "You can sign in now" in answer.text
        assert without_tokens((await sign_up(project, KNOWN)).text.replace(KNOWN, "")) == without_tokens(
            answer.text.replace("New@example.com", "")
        )
        user = await user_of(project, NEW)
        assert user is not None
        assert not user.email_confirmed, "so that no other way of signing in trusts it"
        async with project.client() as client:
            answer = await client.post("/login", data={"username": NEW, "password": PASSWORD})
            assert answer.status_code == 302
        assert await project.all(MailMessage) == []
        assert (await user_of(project, KNOWN)).name != "Jo"  # type: ignore[union-attr]
    async with running(url, tmp_path, OPEN) as project, project.client() as client:
        answer = await client.post("/login", data={"username": NEW, "password": PASSWORD}, headers=BROWSER)
        assert answer.status_code == 403, "once there is mail, the address is to be confirmed"
        assert "Forgot your password?" in answer.text


async def test_ordinary_accounts_sign_in_where_the_site_has_members(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, WITH_MAIL) as project:
        async with project.runtime.database.transaction() as session:
            user = (await session.exec(select(User).where(col(User.email) == KNOWN))).one()
            user.is_staff = False
            session.add(user)
        form = {"username": KNOWN, "password": "test123"}
        async with project.client() as client:
            assert (await client.post("/login", data=form, headers=BROWSER)).status_code == 403
    for sign_up_setting in ("invite", "OPEN"):
        async with running(url, tmp_path, WITH_MAIL | {"SIGN_UP": sign_up_setting}) as project:
            async with project.client() as client:
                answer = await client.post("/login", data=form, headers=BROWSER)
                assert (answer.status_code, answer.headers["location"]) == (302, "/")
            async with project.client() as client:
                answer = await client.post("/api/token", data=form)
                assert answer.status_code == 200


async def test_an_invalid_setting_ends_the_start(url: str, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        async with running(url, tmp_path, {"SIGN_UP": "perhaps"}):
            pass
    assert "SIGN_UP" in capsys.readouterr().err
