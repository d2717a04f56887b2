"""Invitations: by a superuser, for one address and one use, with a role; and by command."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlmodel import col, update

from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.service import find_user
from fastopp.features.mail.models import MailMessage
from fastopp.testing import ManualClock
from tests.integration.accounts_fixtures import *  # noqa: F403 - fixtures
from tests.services.account_mails import PASSWORD, WITH_MAIL, later, mails, path_in, token_in
from tests.services.ops_project import ADMIN, BROWSER, HTMX, PRODUCTION, Project, running

GUEST = "guest@example.com"
INVITE = WITH_MAIL | {"SIGN_UP": "invite"}
PAGE = "/oppman/invitations"

ENVIRON = INVITE


async def invite(project: Project, **form: str) -> httpx.Response:
    async with project.signed_in() as admin:
        return await admin.post(PAGE, data={"email": GUEST} | form)


async def accept(project: Project, token: str, **typed: str) -> httpx.Response:
    async with project.client() as client:
        form = {"token": token, "password": PASSWORD, "name": "Gus"} | typed
        return await client.post("/invitation", data=form, headers=BROWSER)


async def guest_of(project: Project) -> User | None:
    async with project.runtime.database.read() as session:
        return await find_user(session, GUEST)


async def test_from_the_invitation_to_the_account(either: Project) -> None:
    async with either.signed_in() as admin:
        assert (await admin.get(PAGE, headers=BROWSER)).status_code == 200
        assert f'href="{PAGE}"' in (await admin.get("/oppman/", headers=BROWSER)).text
        form = {"email": GUEST, "role": "staff", "group": "sales", "days": "3"}
        answer = await admin.post(PAGE, data=form, headers=HTMX)
        assert "on its way" in answer.text
        assert answer.headers["hx-trigger"] == "invitations-changed"
        [listed] = (await admin.get(PAGE)).json()["invitations"]
        assert (listed["email"], listed["role"], listed["group"]) == (GUEST, "staff", "sales")
        assert GUEST in (await admin.get(PAGE, headers=HTMX)).text
    [mail] = await mails(either)
    async with either.client() as client:
        page = await client.get(path_in(mail), headers=BROWSER)
        assert GUEST in page.text
        assert await guest_of(either) is None
    assert "too short" in (await accept(either, token_in(mail), password="short")).text
    answers = await asyncio.gather(*(accept(either, token_in(mail)) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [302, 410, 410]
    guest = await guest_of(either)
    assert guest is not None
    assert (guest.name, guest.is_staff, guest.is_superuser, guest.group) == ("Gus", True, False, "sales")
    assert guest.email_confirmed
    actions = {row.action for row in await either.all(AuditLog)}
    assert {"invite", "accept invitation"} <= actions
    assert (await invite(either)).status_code == 409, "there is an account by now"


async def test_an_ordinary_guest_goes_to_the_site(project: Project) -> None:
    await invite(project)
    [mail] = await mails(project)
    answer = await accept(project, token_in(mail))
    assert (answer.status_code, answer.headers["location"]) == (302, "/")
    async with project.client() as client:
        assert (await client.get("/sign-up", headers=BROWSER)).status_code == 404, "by invitation only"
        assert "/sign-up" not in (await client.get("/login", headers=BROWSER)).text


async def test_revoked_expired_and_of_a_superuser_who_was_demoted(project: Project, clock: ManualClock) -> None:
    answer = await invite(project)
    [mail] = await mails(project)
    async with project.signed_in() as admin:
        [listed] = (await admin.get(PAGE)).json()["invitations"]
        assert (await admin.post(f"{PAGE}/{listed['id']}/revoke")).status_code == 200
        assert (await admin.post(f"{PAGE}/{listed['id']}/revoke")).status_code == 404
    assert (await accept(project, token_in(mail))).status_code == 410
    answer = await invite(project, days="2")
    assert answer.status_code == 200
    later(clock, days=2)
    assert (await accept(project, token_in((await mails(project))[-1]))).status_code == 410
    await invite(project, role="superuser")
    async with project.runtime.database.transaction() as session:
        await session.exec(update(User).where(col(User.email) == ADMIN[0]).values(is_superuser=False))
    assert (await accept(project, token_in((await mails(project))[-1]))).status_code == 410
    assert await guest_of(project) is None


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"email": "nothing"}, 422),
        ({"email": "staff@example.com"}, 409),
        ({"role": "god"}, 422),
        ({"days": "0"}, 422),
        ({"days": "61"}, 422),
        ({"group": "g" * 51}, 422),
    ],
)
async def test_mistakes(project: Project, form: dict[str, str], status: int) -> None:
    assert (await invite(project, **form)).status_code == status
    assert await project.all(MailMessage) == []


async def test_only_superusers_invite(project: Project) -> None:
    async with project.signed_in("staff@example.com", "test123") as staff:
        assert (await staff.get(PAGE)).status_code == 403
        assert (await staff.post(PAGE, data={"email": GUEST})).status_code == 403


async def test_without_mail_the_link_is_shown_once(url: str, tmp_path: Path) -> None:
    variables = PRODUCTION | {"SIGN_UP": "invite", "SITE_URL": "https://shop.example.com"}
    async with running(url, tmp_path, variables) as project:
        link = (await invite(project)).json()["link"]
        assert link.startswith("https://shop.example.com/invitation?token=")
        assert (await accept(project, link.partition("token=")[2])).status_code == 302


async def test_nobody_is_invited_to_a_closed_site(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, WITH_MAIL) as project:
        assert (await invite(project)).status_code == 404
        async with project.signed_in() as admin:
            assert (await admin.get(PAGE)).status_code == 404
            assert PAGE not in (await admin.get("/oppman/", headers=BROWSER)).text
