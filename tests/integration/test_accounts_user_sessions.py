"""Sessions as an adversary sees them: copied cookies, forged ids, revoked and expired ones, and races."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from sqlalchemy import event
from sqlmodel import col, delete, func, select, update

from fastopp.features.accounts import audit, user_sessions
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.management import change_rights
from fastopp.features.accounts.models import AuditLog, User, UserSession, utc_now
from fastopp.features.accounts.service import change_password, find_user, get_user
from fastopp.features.accounts.sign_in import SignInFailed, sign_in
from fastopp.features.accounts.tokens import ALGORITHM, issue_token, password_fingerprint
from fastopp.features.accounts.user_sessions import AccountChanged, add_session, revoke_all
from fastopp.features.emergency.grants import emergency_token
from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, PRODUCTION, QUIET, Project, initialised, running, use_form_token

STAFF = ("staff@example.com", "test123")
HERE = Client("192.0.2.1", "a test")
PAGE = "/protected"  # for staff

url = url_on("sqlite", fill=initialised)
each_url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url: str, tmp_path: Any, clock: ManualClock) -> AsyncIterator[Project]:
    async with running(url, tmp_path, PRODUCTION | QUIET, clock=clock) as project:
        yield project


@pytest.fixture
async def either(each_url: str, tmp_path: Any) -> AsyncIterator[Project]:
    async with running(each_url, tmp_path, PRODUCTION | QUIET) as project:
        yield project


async def user_of(project: Project, email: str = STAFF[0]) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, email)


async def token_of(project: Project, email: str = STAFF[0], kind: Any = "program") -> str:
    """A sign-in token without the cost of a password."""
    runtime, user = project.runtime, await user_of(project, email)
    async with runtime.database.transaction() as session:
        row = await add_session(session, user, kind, HERE, lifetime=timedelta(minutes=30), clock=runtime.clock)
    return issue_token(user, runtime.settings, row.id, clock=runtime.clock)


def claims_of(project: Project, user: User, **changes: Any) -> str:
    """A genuine token with these claims, as only the holder of SECRET_KEY can sign it."""
    claims = {
        "sub": str(user.id),
        "fingerprint": password_fingerprint(user.hashed_password, project.runtime.settings),
        "exp": project.runtime.clock.now() + timedelta(minutes=30),
    }
    key = project.runtime.settings.secret_key.get_secret_value()
    return jwt.encode(claims | changes, key, algorithm=ALGORITHM)


async def status(project: Project, token: str, path: str = PAGE) -> int:
    async with project.client(headers={"Authorization": f"Bearer {token}"}) as client:
        return (await client.get(path)).status_code


async def count(project: Project, *where: Any) -> int:
    async with project.runtime.database.read() as session:
        return (await session.exec(select(func.count()).select_from(UserSession).where(*where))).one()


@contextmanager
def statements(project: Project) -> Iterator[list[str]]:
    """The SQL that is run meanwhile."""
    seen: list[str] = []
    engine = project.runtime.database.engine.sync_engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


async def test_a_signed_in_page_reads_account_and_session_in_one_query(project: Project) -> None:
    token = await token_of(project)
    with statements(project) as seen:
        assert await status(project, token) == 200
    assert len(seen) == 1, seen
    assert "sessions" in seen[0]


async def test_signing_out_ends_a_copy_of_the_cookies(project: Project) -> None:
    async with project.signed_in(*STAFF) as browser, project.client(cookies=browser.cookies) as thief:
        assert (await thief.get(PAGE)).status_code == 200
        assert (await browser.post("/logout")).status_code == 302
        assert (await thief.get(PAGE)).status_code == 401
        assert (await browser.post("/logout")).status_code == 302  # again, from another tab
    actions = [(entry.action, entry.ip_address) for entry in await project.all(AuditLog)]
    assert sorted(actions) == [("sign in", "203.0.113.9"), ("sign out", "203.0.113.9")]


async def test_two_tabs_sign_out_at_once(project: Project) -> None:
    async with project.signed_in(*STAFF) as browser:
        answers = await asyncio.gather(*(browser.post("/logout") for _ in range(3)))
        assert {answer.status_code for answer in answers} == {302}
    assert await count(project) == 0


async def test_another_sign_in_of_the_browser_ends_the_one_before(project: Project) -> None:
    async with project.signed_in(*STAFF) as browser:
        before = browser.cookies["access_token"]
        form = {"username": STAFF[0], "password": STAFF[1]}
        assert (await browser.post("/login", data=form)).status_code == 302
        assert await status(project, before) == 401
        assert (await browser.get(PAGE)).status_code == 200


async def test_session_ids_that_are_not_the_users_own(project: Project) -> None:
    staff, other = await user_of(project), await user_of(project, "admin@example.com")
    token = await token_of(project, "admin@example.com")
    others = jwt.decode(token, options={"verify_signature": False})["sid"]
    async with project.runtime.database.transaction() as session:
        api = await add_session(session, staff, "token", HERE, lifetime=None)
        api.secret_digest = "x"
    for sid in (others, str(uuid.uuid4()), str(staff.id), str(api.id)):
        assert await status(project, claims_of(project, staff, sid=sid)) == 401, sid
    assert await status(project, claims_of(project, other, sid=others)) == 200
    for text in ("", "x", None, 1, ["a"]):
        assert await status(project, claims_of(project, staff, sid=text)) == 401, text


async def test_a_session_expires_on_the_server_too(project: Project, clock: ManualClock) -> None:
    user, token = await user_of(project), await token_of(project)
    sid = jwt.decode(token, options={"verify_signature": False})["sid"]
    longer = claims_of(project, user, sid=sid, exp=clock.now() + timedelta(days=9))
    assert await status(project, longer) == 200
    clock.advance(30 * 60 + 1)
    assert await status(project, token) == await status(project, longer) == 401


async def test_clocks_of_instances_may_differ(project: Project, clock: ManualClock) -> None:
    token = await token_of(project)
    clock.advance(-4 * 60)  # another instance, whose clock is behind
    assert await status(project, token) == 200
    clock.advance(8 * 60)
    assert await status(project, token) == 200


@pytest.mark.parametrize("end", ["password", "deactivated", "everywhere", "deleted", "row"])
async def test_what_ends_every_session(either: Project, end: str) -> None:
    tokens = [await token_of(either, kind=kind) for kind in ("program", "browser")]
    kept = await token_of(either, "admin@example.com")
    user = await user_of(either)
    old = claims_of(either, user)  # of a release without sessions
    assert [await status(either, token) for token in (*tokens, old, kept)] == [200] * 4
    async with either.runtime.database.transaction() as session:
        if end == "password":
            await change_password(session, email=user.email, password="another password")
        elif end == "deactivated":
            await change_rights(session, None, user.id, {"is_active": False})
        elif end == "everywhere":
            await revoke_all(session, user, HERE)
        elif end == "deleted":
            await session.exec(delete(AuditLog))
            await session.exec(delete(User).where(col(User.id) == user.id))
        else:
            row = await session.get(User, user.id)
            assert row is not None
            row.is_active = False
            session.add(row)
    assert [await status(either, token) for token in (*tokens, old, kept)] == [401, 401, 401, 200]
    assert await count(either, col(UserSession.user_id) == user.id) == 0
    if end in ("deactivated", "row"):
        async with either.runtime.database.transaction() as session:
            await change_rights(session, None, user.id, {"is_active": True})
        assert [await status(either, token) for token in (*tokens, old)] == [401] * 3


async def test_a_token_of_an_earlier_release_works_until_it_ends(project: Project, clock: ManualClock) -> None:
    old = claims_of(project, await user_of(project))
    assert await status(project, old) == 200
    async with project.client(cookies={"access_token": old}) as browser:
        await use_form_token(browser, PAGE)
        assert (await browser.post("/logout")).status_code == 302
    assert await status(project, old) == 401
    other = claims_of(project, await user_of(project, "admin@example.com"))
    clock.advance(31 * 60)
    assert await status(project, other) == 401


async def test_a_sign_in_under_way_does_not_outlive_a_new_password(either: Project) -> None:
    database = either.runtime.database
    before = await user_of(either)
    async with database.transaction() as session:
        await change_password(session, email=before.email, password="another password")
    with pytest.raises(AccountChanged):
        async with database.transaction() as session:
            await add_session(session, before, "token", HERE, lifetime=None)


async def test_sessions_added_while_all_are_revoked(either: Project) -> None:
    """No session survives a new password that was committed after it."""
    database, before = either.runtime.database, await user_of(either)

    async def add() -> None:
        async with database.transaction() as session:
            await add_session(session, before, "token", HERE, lifetime=None)

    async def change() -> None:
        async with database.transaction() as session:
            await change_password(session, email=before.email, password="another password")

    done = await asyncio.gather(
        *(add() for _ in range(3)), change(), *(add() for _ in range(3)), return_exceptions=True
    )
    assert all(each is None or isinstance(each, AccountChanged) for each in done), done
    assert await count(either, col(UserSession.user_id) == before.id) == 0


async def test_revoked_by_several_at_once(either: Project) -> None:
    token, user = await token_of(either), await user_of(either)

    async def revoke() -> int:
        async with either.runtime.database.transaction() as session:
            return await revoke_all(session, user, HERE)

    assert sum(await asyncio.gather(*(revoke() for _ in range(4)))) == 1
    assert await status(either, token) == 401


async def test_many_sign_ins_do_not_grow_the_table(either: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_sessions, "MAX_SIGN_INS", 5)
    first = await token_of(either)
    program = await token_of(either, kind="browser")
    tokens = [await token_of(either) for _ in range(9)]
    assert await status(either, first) == 401
    assert [await status(either, token) for token in (program, *tokens[-5:])] == [200] * 6
    assert await count(either) == 6


async def test_last_use_is_written_every_five_minutes_and_not_waited_for(
    project: Project, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await token_of(project)
    (row,) = await project.all(UserSession)
    clock.advance(4 * 60)
    with statements(project) as seen:
        assert await status(project, token) == 200
        await project.runtime.background.idle()
    assert len(seen) == 1
    clock.advance(60)
    with statements(project) as seen:
        for _ in range(3):
            assert await status(project, token) == 200
            await project.runtime.background.idle()
    assert len([text for text in seen if text.startswith("UPDATE")]) == 1
    (used,) = await project.all(UserSession)
    assert used.last_seen_at - row.last_seen_at == timedelta(minutes=5)


async def test_a_locked_database_holds_no_page_up(project: Project, clock: ManualClock) -> None:
    token = await token_of(project)
    clock.advance(6 * 60)
    async with project.runtime.database.transaction() as session:  # holds SQLite's only lock
        await session.exec(update(User).values(language="de"))
        async with asyncio.timeout(4):
            assert await status(project, token) == 200
            assert await status(project, token) == 200
    await project.runtime.background.idle()


async def test_expired_sessions_and_old_entries_are_pruned(either: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(user_sessions, "PRUNED_AT_ONCE", 2)
    monkeypatch.setattr(audit, "PRUNED_AT_ONCE", 2)
    user = await user_of(either)
    token = await token_of(either)
    async with either.runtime.database.transaction() as session:
        for _ in range(5):
            session.add(UserSession(user_id=user.id, kind="program", expires_at=utc_now() - timedelta(seconds=1)))
            await audit.record(session, user, "update", "User", user.id)
        session.add(UserSession(user_id=user.id, kind="token"))
        await session.exec(update(AuditLog).values(timestamp=utc_now() - timedelta(days=401)))
        await audit.record(session, user, "create", "User", user.id)
    async with either.client(headers=BEARER) as client:
        assert (await client.post("/async/clean-up")).status_code == 200
    assert await count(either) == 2
    assert [entry.action for entry in await either.all(AuditLog)] == ["create"]
    assert await status(either, token) == 200


async def test_refusals_cost_the_same_for_unknown_accounts(either: Project) -> None:
    """Queries and hashes tell nobody whether there is an account; only an account's own refusals are on record."""
    runs = []
    for email in (STAFF[0], "nobody@example.com"):
        with statements(either) as seen, pytest.raises(SignInFailed):
            await sign_in(either.runtime.database, email=email, password="wrong-one", client=HERE)
        runs.append(seen)
    assert runs[0] == runs[1]
    (entry,) = await either.all(AuditLog)
    assert (entry.action, entry.ip_address, entry.user_agent) == ("sign in failed", HERE.address, HERE.user_agent)
    async with either.runtime.database.read() as session:
        user = await find_user(session, STAFF[0])
    assert user is not None
    assert entry.user_id == user.id


async def test_emergency_access_can_be_ended(url: str, tmp_path: Any) -> None:
    async with running(url, tmp_path, PRODUCTION | {"EMERGENCY_ACCESS_ENABLED": "true"}) as project:
        home, boss = "/oppman/emergency", await user_of(project, "admin@example.com")

        async def enter(client: httpx.AsyncClient) -> None:
            await client.post(f"{home}/verify", data={"token": emergency_token(project.runtime.settings)})
            assert (await client.get(f"{home}/state")).status_code == 200

        for end in ("leave", "sign out", "everywhere"):
            async with project.client() as client:
                await enter(client)
                async with project.client(cookies=client.cookies) as thief:
                    assert (await thief.get(f"{home}/state")).status_code == 200
                    await use_form_token(client, f"{home}/dashboard")
                    if end == "leave":
                        await client.post(f"{home}/logout")
                    elif end == "sign out":
                        await client.post("/logout")
                    else:
                        async with project.runtime.database.transaction() as session:
                            await revoke_all(session, boss, HERE)
                    assert (await thief.get(f"{home}/state")).status_code == 403, end
        forged = project.client()
        async with forged as client:
            assert (await client.get(f"{home}/state")).status_code == 403
