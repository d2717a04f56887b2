"""Export and deletion of an account: what goes, what stays, and what is refused, on both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import SQLModel, col, select, update

from fastopp.core.apps import BrokenPart, find_apps
from fastopp.features.account import exporting
from fastopp.features.account.deletion import AccountStillUsed, delete_account
from fastopp.features.account.exporting import ExportTooBig, write_export
from fastopp.features.account.hooks import find_exports
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.management import LastSuperuser, UserMissing
from fastopp.features.accounts.models import DELETED_DOMAIN, AuditLog, User, UserSession, utc_now
from fastopp.features.accounts.service import get_user, list_users
from fastopp.features.accounts.tokens import issue_token
from fastopp.features.accounts.user_sessions import add_session
from fastopp.features.passkeys.models import Passkey
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from tests.gate import any_database
from tests.services.account_app.models import Complaint, Order
from tests.services.databases import url_on
from tests.services.ops_project import ADMIN, BROWSER, PRODUCTION, Project, initialised, running, use_form_token

APP = "tests.services.account_app"
STAFF = ("staff@example.com", "test123")
HERE = Client("192.0.2.1", "a test")


async def with_orders(url: str, folder: Path) -> None:
    """Add the tables of the app to a template."""
    await initialised(url, folder)
    async with running(url, folder, apps=[APP]) as project, project.runtime.database.engine.begin() as connection:
        tables = [Order.__table__, Complaint.__table__]
        await connection.run_sync(SQLModel.metadata.create_all, tables)


url = url_on("sqlite", "psycopg", fill=with_orders)


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with running(url, tmp_path, PRODUCTION, [APP]) as project:
        yield project


async def user_of(project: Project, email: str = STAFF[0]) -> User:
    async with project.runtime.database.read() as session:
        return await get_user(session, email)


async def add(project: Project, *rows: Any) -> None:
    async with project.runtime.database.transaction() as session:
        session.add_all(rows)


async def delete(client: httpx.AsyncClient, password: str = STAFF[1]) -> httpx.Response:
    return await client.post("/account/delete", data={"password": password}, headers=BROWSER)


async def test_everything_goes_but_the_record_of_changes(project: Project) -> None:
    user, others = await user_of(project), await user_of(project, "john@example.com")
    async with project.signed_in(*STAFF) as browser, project.signed_in(*STAFF) as other:
        await add(project, Order(user_id=user.id, title="Teapot"), Order(user_id=others.id, title="Kettle"))
        async with project.runtime.database.transaction() as session:
            await audit.record(session, user, "update", "Product", 7, {"price": 3}, client=HERE)
        assert (await delete(browser, "wrong")).status_code == 422
        assert [row.title for row in await project.all(Order)] == ["Teapot", "Kettle"]
        answer = await delete(browser)
        assert (answer.status_code, "The account was deleted" in answer.text) == (200, True)
        assert "access_token" not in browser.cookies
        for one in (browser, other):
            assert (await one.get("/account")).status_code == 401
    assert await project.all(UserSession) == []
    assert [row.title for row in await project.all(Order)] == ["Kettle"]
    everyone = await project.all(User)
    assert STAFF[0] not in {each.email for each in everyone}
    (remains,) = (each for each in everyone if each.email.endswith(DELETED_DOMAIN))
    assert (remains.name, remains.is_active, remains.is_staff) == (None, False, False)
    log = {row.action: row for row in await project.all(AuditLog)}
    assert set(log) == {"update", "delete account"}
    assert (log["update"].user_id, log["update"].ip_address, log["update"].user_agent) == (remains.id, None, None)
    assert (log["delete account"].record_id, log["delete account"].ip_address) == (str(user.id), "203.0.113.9")
    async with project.runtime.database.read() as session:
        assert remains.id not in {each.id for each in await list_users(session)}
    async with project.client() as client:
        answer = await client.post("/login", data={"username": remains.email, "password": "!"})
        assert answer.status_code == 401


@pytest.fixture
def known_tables() -> Iterator[None]:
    """Have SQLModel know the app's tables, as it does in a project."""
    tables = [model.__table__ for model in (Order, Complaint)]  # type: ignore[attr-defined]  # SQLModel's own
    for table in tables:
        SQLModel.metadata._add_table(table.name, None, table)
    yield
    for table in tables:
        SQLModel.metadata.remove(table)


@pytest.mark.usefixtures("known_tables")
async def test_a_row_that_refers_to_the_account_keeps_all_of_it(project: Project) -> None:
    user = await user_of(project)
    async with project.signed_in(*STAFF) as browser:
        await add(project, Order(user_id=user.id, title="Teapot"), Complaint(user_id=user.id))
        answer = await delete(browser)
        assert answer.status_code == 409
        assert "Records in account_app_complaints refer to this account" in answer.text
        assert (await browser.get("/account")).status_code == 200
    assert len(await project.all(Order)) == 1
    assert (await user_of(project)).is_active


async def test_a_table_without_a_model_is_named_where_the_database_says(project: Project) -> None:
    user = await user_of(project)
    await add(project, Complaint(user_id=user.id))
    with pytest.raises(AccountStillUsed) as refused:
        async with project.runtime.database.transaction() as session:
            await delete_account(session, user.id, project.runtime.apps, HERE)
    named = "another table" if project.runtime.database.url.backend == "sqlite" else "account_app_complaints"
    assert named in str(refused.value)
    assert (await user_of(project)).is_active


async def test_the_last_superuser_stays(project: Project) -> None:
    boss, second = await user_of(project, ADMIN[0]), await user_of(project, "admin2@example.com")

    async def end(user: User) -> str:
        try:
            async with project.runtime.database.transaction() as session:
                await delete_account(session, user.id, project.runtime.apps, HERE)
        except LastSuperuser:
            return "kept"
        return "deleted"

    assert sorted(await asyncio.gather(end(boss), end(second))) == ["deleted", "kept"]
    left = next(each for each in await project.all(User) if each.is_superuser)
    assert await end(left) == "kept"
    gone = boss if left.id == second.id else second
    with pytest.raises(UserMissing):
        await end(gone)


async def test_the_admin_deletes_as_the_user_would(project: Project) -> None:
    user, other = await user_of(project), await user_of(project, "john@example.com")
    await add(project, Order(user_id=user.id, title="Teapot"), Order(user_id=other.id, title="Kettle"))
    await add(project, Complaint(user_id=other.id))
    async with project.signed_in(*ADMIN) as admin:
        answer = await admin.delete(f"/admin/user/delete?pks={user.id}")
        assert (answer.status_code, "error=" in answer.text) == (200, False), answer.text
        kept = await admin.delete(f"/admin/user/delete?pks={other.id}")
        shown = (await admin.get(kept.text, headers=BROWSER)).text
        assert "refer to this account" in shown
        assert "Deactivate it instead" in shown
        own = await admin.delete(f"/admin/user/delete?pks={(await user_of(project, ADMIN[0])).id}")
        assert "signed in with" in (await admin.get(own.text, headers=BROWSER)).text
    assert [row.title for row in await project.all(Order)] == ["Kettle"]
    left = {row.email for row in await project.all(User)}
    assert STAFF[0] not in left
    assert {other.email, ADMIN[0]} <= left


async def test_the_export_has_what_belongs_to_the_user(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "BATCH", 2)
    user, others = await user_of(project), await user_of(project, "john@example.com")
    private = {"secret": "s3cret-factor", "last_step": 987654}
    key = {"credential_id": "cr3dential", "public_key": b"\xff k3y", "sign_count": 7, "last_challenge_at": utc_now()}
    await add(
        project,
        SecondFactor(user_id=user.id, **private),
        SecondFactor(user_id=others.id, secret="another's", last_step=1),
        *(RecoveryCode(user_id=user.id, digest=f"d1gest {number}") for number in range(3)),
        Passkey(user_id=user.id, name="my phone", **key),
    )
    await add(project, Order(user_id=user.id, title="Teapot \ud800"[:-1]), Order(user_id=others.id, title="Kettle"))
    async with project.client() as browser:
        # Signed in as by the second step, which is not what this tests.
        async with project.runtime.database.transaction() as session:
            row = await add_session(session, user, "browser", HERE, lifetime=timedelta(days=1))
            token = issue_token(user, project.runtime.settings, row.id)
        browser.cookies.set("access_token", token)
        await use_form_token(browser, "/account")
        for number in range(4):
            wanted = {"name": f"token {number}", "scopes": ["read"]}
            await browser.post("/account/tokens", json=wanted)
        answer = await browser.get("/account/export")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert answer.headers["content-disposition"] == 'attachment; filename="account.json"'
    told = answer.json()
    assert told["account"]["email"] == STAFF[0]
    assert len(told["sessions"]) == 5
    assert sorted(row["action"] for row in told["audit_log"]) == ["create token"] * 4
    [factor], codes, [passkey] = told["second_factors"], told["recovery_codes"], told["passkeys"]
    assert factor.keys() == {"created_at", "last_used_at"}
    assert [code.keys() for code in codes] == [{"id", "created_at"}] * 3
    assert (passkey["name"], passkey.keys()) == ("my phone", {"id", "name", "created_at", "last_used_at"})
    assert told["apps"] == {"account_app": [{"title": "Teapot "}]}
    for secret in (
        "hashed_password",
        "secret_digest",
        "digest",
        user.hashed_password,
        "john@example.com",
        "Kettle",
        "s3cret",
        "987654",
        "d1gest",
        "cr3d",
        "k3y",
    ):
        assert secret not in answer.text, secret


@any_database
async def test_an_export_is_bounded(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MAX_BYTES", 200)
    with pytest.raises(ExportTooBig):
        await write_export(project.runtime, await user_of(project))
    async with project.signed_in(*STAFF) as browser:
        assert (await browser.get("/account/export")).status_code == 413


@any_database
async def test_a_large_export_goes_to_disk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    user = await user_of(project)
    monkeypatch.setattr(exporting, "IN_MEMORY", 100)
    monkeypatch.setattr(exporting, "CHUNK", 64)
    file = await write_export(project.runtime, user)
    parts = [part async for part in exporting.send_chunks(file)]
    assert max(map(len, parts)) == 64
    assert json.loads(b"".join(parts))["account"]["id"] == str(user.id)
    assert file.closed


@any_database
async def test_links_of_apps_are_on_the_page(project: Project) -> None:
    async with project.signed_in(*STAFF) as browser:
        page = (await browser.get("/account", headers=BROWSER)).text
    assert 'href="/orders"' in page
    assert "What you bought." in page


async def test_clean_up_removes_deleted_accounts_without_records(project: Project) -> None:
    user = await user_of(project)
    async with project.runtime.database.transaction() as session:
        await delete_account(session, user.id, project.runtime.apps, HERE)
    async with project.runtime.database.transaction() as session:
        assert await audit.remove_deleted_accounts(session) == 0
        await session.exec(
            update(AuditLog).values(user_id=select(User.id).where(col(User.email) == ADMIN[0]).scalar_subquery())
        )
        assert await audit.remove_deleted_accounts(session) == 1
        assert await audit.remove_deleted_accounts(session) == 0
    assert not any(each.email.endswith(DELETED_DOMAIN) for each in await project.all(User))


def test_a_hook_that_is_no_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "faulty_hooks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "accounts.py").write_text("export_account = {}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BrokenPart, match="`export_account` is not a function"):
        find_exports(find_apps(["faulty_hooks"]))
