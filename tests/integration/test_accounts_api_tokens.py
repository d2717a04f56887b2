"""API tokens: what their scopes allow, who may create them, and that only their owner's text opens anything."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import update

from fastopp.features.accounts import api_tokens
from fastopp.features.accounts.api_tokens import ScopeRefused, TooManyTokens, create_api_token, read_api_token
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import AuditLog, User, UserSession
from fastopp.features.accounts.service import get_user
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import PRODUCTION, Project, initialised, running

BOSS, STAFF = "admin@example.com", "staff@example.com"
HERE = Client("192.0.2.1")

url = url_on("sqlite", fill=initialised)


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url: str, tmp_path: Any, clock: ManualClock) -> AsyncIterator[Project]:
    async with running(url, tmp_path, PRODUCTION, clock=clock) as project:
        yield project


async def create(project: Project, *scopes: Any, email: str = BOSS, lifetime: timedelta | None = None) -> str:
    async with project.runtime.database.transaction() as session:
        user = await get_user(session, email)
        made = await create_api_token(
            session, user, "a robot", scopes, HERE, lifetime=lifetime, clock=project.runtime.clock
        )
    return made.text


async def call(project: Project, token: str, method: str, path: str, **options: Any) -> int:
    async with project.client(headers={"Authorization": f"Bearer {token}"}) as client:
        return (await client.request(method, path, **options)).status_code


READ, WRITE, OPERATE = ("GET", "/oppman/users"), ("POST", "/oppman/user-management"), ("GET", "/debug/database-data")


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        (["read"], [200, 403, 403]),
        (["write"], [200, 200, 403]),
        (["operations"], [403, 403, 200]),
        (["read", "operations"], [200, 403, 200]),
        (["read", "write", "operations"], [200, 200, 200]),
    ],
)
async def test_scopes(project: Project, scopes: list[str], allowed: list[int]) -> None:
    token = await create(project, *scopes)
    data = {"command": "list_users"}
    found = [
        await call(project, token, *READ),
        await call(project, token, *WRITE, data=data),
        await call(project, token, *OPERATE),
    ]
    assert found == allowed


async def test_a_token_has_no_more_rights_than_its_account(project: Project) -> None:
    token = await create(project, "read", "write", email=STAFF)
    assert await call(project, token, "GET", "/protected") == 200
    assert await call(project, token, *READ) == 403
    boss = await create(project, "operations")
    async with project.runtime.database.transaction() as session:
        await session.exec(update(User).where(User.email == BOSS).values(is_superuser=False, is_staff=True))
    assert await call(project, boss, *OPERATE) == 403
    async with project.runtime.database.transaction() as session:
        await session.exec(update(User).where(User.email == BOSS).values(is_active=False))
    assert await call(project, boss, *OPERATE) == 401


async def test_the_answer_names_the_scope(project: Project) -> None:
    token = await create(project, "read")
    async with project.client(headers={"Authorization": f"Bearer {token}"}) as client:
        answer = await client.post("/oppman/user-management", data={"command": "list_users"})
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="write"'


async def test_the_admin_asks_for_a_scope_too(project: Project) -> None:
    token = await create(project, "read")
    assert await call(project, token, "GET", "/admin/user/list") == 200
    assert await call(project, token, "DELETE", "/admin/user/delete?pks=1") == 403


async def test_texts_that_are_no_token_of_anyone(project: Project) -> None:
    good, other = await create(project, "read"), await create(project, "read", email=STAFF)
    head, id_, secret = good.split("_", 2)
    _, other_id, other_secret = other.split("_", 2)
    forged = [
        f"{head}_{other_id}_{secret}",
        f"{head}_{id_}_{other_secret}",
        f"{head}_{uuid.uuid4().hex}_{secret}",
        f"{head}_{id_}_{secret[:-1]}",
        f"{head}_{id_}_{secret[:-1]}!",
        f"{head}_{id_}_",
        f"{head.upper()}_{id_}_{secret}",
        f"{head}_{uuid.UUID(id_)}_{secret}",
        good + "=",
    ]
    assert [await call(project, text, "GET", "/protected") for text in forged] == [401] * len(forged)
    assert await call(project, good, "GET", "/protected") == 200
    # As a cookie it is nothing: a browser would send it by itself.
    async with project.client(cookies={"access_token": good}) as client:
        assert (await client.get("/protected")).status_code == 401


async def test_only_a_digest_is_stored(project: Project) -> None:
    token = await create(project, "read")
    (row,) = await project.all(UserSession)
    stored = repr(row.model_dump()) + repr([entry.model_dump() for entry in await project.all(AuditLog)])
    assert token not in stored
    assert token.rsplit("_", 1)[1] not in stored
    assert row.secret_digest not in repr(row)


async def test_it_expires(project: Project, clock: ManualClock) -> None:
    token, lasting = await create(project, "read", lifetime=timedelta(days=1)), await create(project, "read")
    clock.advance(24 * 3600 + 1)
    assert await call(project, token, "GET", "/protected") == 401
    clock.advance(9 * 365 * 24 * 3600)
    assert await call(project, lasting, "GET", "/protected") == 200


async def test_its_last_use_is_written(project: Project) -> None:
    token = await create(project, "read")
    async with project.signed_in(BOSS, "admin123") as browser:
        (before,) = (await browser.get("/account/tokens")).json()
        assert before["last_used_at"] is None
        assert await call(project, token, "GET", "/protected") == 200
        await project.runtime.background.idle()
        (after,) = (await browser.get("/account/tokens")).json()
        assert after["last_used_at"]


async def test_created_listed_and_revoked_in_a_browser(project: Project) -> None:
    async with project.signed_in(BOSS, "admin123") as browser:
        wanted = {"name": "a robot", "scopes": ["read", "operations"], "expires_in_days": 30}
        answer = await browser.post("/account/tokens", json=wanted)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        made = answer.json()
        assert await call(project, made["token"], *OPERATE) == 200
        listed = (await browser.get("/account/tokens")).json()
        assert [(each["name"], each["scopes"]) for each in listed] == [("a robot", ["read", "operations"])]
        assert "token" not in listed[0]
        for bad in ({"name": "", "scopes": ["read"]}, {"name": "x", "scopes": []}, {"name": "x", "scopes": ["all"]}):
            assert (await browser.post("/account/tokens", json=bad)).status_code == 422, bad
        # Not by a program, whatever its scopes: neither an API token nor a token for a password.
        every = await create(project, "read", "write", "operations")
        form = {"username": BOSS, "password": "admin123"}
        program = (await browser.post("/api/token", data=form)).json()["access_token"]
        for token in (every, program):
            assert await call(project, token, "POST", "/account/tokens", json=wanted) == 403
            assert await call(project, token, "DELETE", f"/account/tokens/{made['id']}") == 403
            assert await call(project, token, "POST", "/account/sign-out-everywhere") == 403
        assert (await browser.delete(f"/account/tokens/{made['id']}")).status_code == 204
        assert (await browser.delete(f"/account/tokens/{made['id']}")).status_code == 404
        assert await call(project, made["token"], *OPERATE) == 401


async def test_sessions_are_listed_and_ended(project: Project) -> None:
    async with project.signed_in(BOSS, "admin123") as browser, project.signed_in(BOSS, "admin123") as other:
        listed = (await browser.get("/account/sessions")).json()
        assert sorted(each["current"] for each in listed) == [False, True]
        (elsewhere,) = (each["id"] for each in listed if not each["current"])
        assert (await browser.delete(f"/account/sessions/{elsewhere}")).status_code == 204
        assert (await other.get("/protected")).status_code == 401
        async with project.signed_in(STAFF, "test123") as stranger:
            own = next(each["id"] for each in listed if each["current"])
            assert (await stranger.delete(f"/account/sessions/{own}")).status_code == 404
        token = await create(project, "read")
        answer = await browser.post("/account/sign-out-everywhere")
        assert answer.status_code == 204
        assert "access_token" not in browser.cookies
        assert await call(project, token, "GET", "/protected") == 401


async def test_what_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScopeRefused, match="superuser"):
        await create(project, "operations", email=STAFF)
    with pytest.raises(ScopeRefused, match="needs a scope"):
        await create(project)
    monkeypatch.setattr(api_tokens, "MAX_TOKENS", 2)
    for _ in range(2):
        await create(project, "read")
    with pytest.raises(TooManyTokens):
        await create(project, "read")
    assert len(await project.all(UserSession)) == 2
    assert read_api_token("fastopp_x_y") is None
