"""The admin of a project's own apps, how it is mounted, and how it behaves on a bad day."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_app import BROWSER, PASSWORD, AdminApp, email, make_password_hash, running
from admin_shop.models import Base, Customer, Note, Order

from fastopp.core.apps import find_apps
from fastopp.features.accounts.models import User
from fastopp.features.admin import mount
from fastopp.features.admin import site as site_module
from tests.services.postgres import Postgres

SAVE = {"save": "Save"}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[AdminApp]:
    shop = find_apps(["admin_shop"])
    async with running(f"sqlite:///{tmp_path}/t.db", tmp_path, await make_password_hash(), shop) as app:
        async with app.runtime.database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await app.add(
            Customer(id=1, name="Ada"),
            Customer(id=2, name="Secret"),
            Note(id=1, text="hello", weight=1),
            Order(id=1, customer_id=1),
            Order(id=2, customer_id=2),
        )
        yield app


async def test_a_view_that_says_nothing_of_rights_is_for_staff_to_read(site: AdminApp) -> None:
    ways = [
        ("GET", "list"),
        ("GET", "details/1"),
        ("GET", "create"),
        ("POST", "create"),
        ("GET", "edit/1"),
        ("POST", "edit/1"),
        ("DELETE", "delete?pks=1"),
    ]
    data = {"text": "new", "weight": "2.5"} | SAVE
    for group, expected in (
        ("nobody", [200, 200, 403, 403, 403, 403, 403]),
        ("superuser", [200, 200, 200, 302, 200, 302, 200]),
    ):
        async with site.signed_in(group) as client:
            codes = []
            for method, path in ways:
                form = data if method == "POST" else None
                codes.append((await client.request(method, f"/admin/note/{path}", data=form)).status_code)
            assert codes == expected


async def test_changes_through_a_plain_view_are_recorded_too(site: AdminApp) -> None:
    async with site.signed_in("superuser") as client:
        await client.post("/admin/note/create", data={"text": "new", "weight": "2.5"} | SAVE)
    (entry,) = await site.audit("create")
    assert (entry.model_name, entry.record_id) == ("Note", "2")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_key_that_no_row_can_have_is_not_found(kind: str, tmp_path: Path, postgres: Postgres) -> None:
    name = postgres.create_database()
    url = f"sqlite:///{tmp_path}/t.db" if kind == "sqlite" else postgres.url(name)
    async with running(url, tmp_path, await make_password_hash(), find_apps(["admin_shop"])) as site:
        async with site.runtime.database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await site.add(Note(id=1, text="hello", weight=1))
        async with site.signed_in("superuser") as client:
            for key in ("9" * 20, "-" + "9" * 20, str(2**63), str(2**31), "1.5", "NaN", "x" * 500, "%00", "1%00"):
                expected = 400 if "%00" in key else 404  # NUL is refused whatever it is for
                form = {"text": "new", "weight": "2"} | SAVE
                codes = [
                    (await client.get(f"/admin/note/details/{key}")).status_code,
                    (await client.get(f"/admin/note/edit/{key}")).status_code,
                    (await client.post(f"/admin/note/edit/{key}", data=form)).status_code,
                ]
                assert codes == [expected] * 3, (key, codes)
                deleted = await client.delete(f"/admin/note/delete?pks={key}")
                # A plain view of SQLAdmin's answers 200 for a row that is not there.
                assert deleted.status_code in (200, expected), (key, deleted.text)
            assert (await client.get("/admin/note/details/1")).status_code == 200
    postgres.drop_database(name)


async def test_a_view_that_would_show_hashes_is_left_out(site: AdminApp, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with site.signed_in("superuser") as client:
            assert "argon2" not in (await client.get("/admin/user/list")).text
    assert "EveryHash is left out" in caplog.text


async def test_a_page_of_an_app(site: AdminApp) -> None:
    async with site.signed_in("nobody") as client:
        assert (await client.get("/admin/report")).text == "the report"
    async with site.client() as client:
        assert (await client.get("/admin/report")).status_code == 303


async def test_a_lookup_needs_the_form_and_shows_only_visible_rows(site: AdminApp) -> None:
    lookup = "/admin/order/ajax/lookup"
    found = {}
    for group in ("superuser", "sales", "marketing", "support"):
        async with site.signed_in(group) as client:
            answers = [await client.get(lookup, params={"name": "customer", "term": term}) for term in ("e", "a")]
            found[group] = [row["text"] for answer in answers for row in answer.json()["results"]]
    assert found == {
        "superuser": ["Secret", "Ada"],
        "sales": ["Secret", "Ada"],
        "marketing": ["Ada"],
        "support": [],  # of customers they see nothing
    }
    async with site.signed_in("nobody") as client:
        assert (await client.get(lookup, params={"name": "customer", "term": "e"})).status_code == 403


async def test_related_rows_are_shown_only_where_they_may_be_seen(site: AdminApp) -> None:
    for group, shown in (("sales", True), ("marketing", False), ("support", False)):
        async with site.signed_in(group) as client:
            page = (await client.get("/admin/order/list")).text
            assert "/admin/order/details/2" in page
            assert ("Secret" in page) == shown
            assert ("Secret" in (await client.get("/admin/order/details/2")).text) == shown


async def test_an_action_needs_its_right_and_is_recorded(site: AdminApp) -> None:
    async with site.signed_in("nobody") as client:
        assert "action/ship" not in (await client.get("/admin/order/list")).text
        assert (await client.get("/admin/order/action/ship?pks=1")).status_code == 403
    async with site.signed_in("sales") as client:
        assert (await client.get("/admin/order/action/burn?pks=1")).status_code == 403
        evil = {"sec-fetch-site": "cross-site"}
        assert (await client.get("/admin/order/action/ship?pks=1", headers=BROWSER | evil)).status_code == 403
        assert (await client.get("/admin/order/action/ship?pks=1")).status_code == 307
    (entry,) = await site.audit("update")
    assert (entry.model_name, entry.record_id, entry.changes) == (
        "Order",
        "1",
        '{"shipped": {"old": false, "new": true}}',
    )
    assert entry.user_id == (await site.one(User, User.email == email("sales"))).id


async def test_first_requests_at_once_build_it_once(site: AdminApp, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    build = site_module.build_site
    monkeypatch.setattr(site_module, "build_site", lambda *arguments: built.append(1) or build(*arguments))
    async with site.client() as client:
        answers = await asyncio.gather(*(client.get("/admin/login") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert built == [1]


async def test_a_building_that_failed_is_tried_again(site: AdminApp, monkeypatch: pytest.MonkeyPatch) -> None:
    build, failures = mount._build, iter([OSError("no file handles left")])

    def sometimes(*arguments: object) -> object:
        for failure in failures:
            raise failure
        return build(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mount, "_build", sometimes)
    async with site.client() as client:
        assert (await client.get("/admin/login")).status_code == 500
        assert (await client.get("/admin/login")).status_code == 200


WAYS = [("GET", "product/list"), ("GET", ""), ("POST", "product/create"), ("DELETE", "product/delete?pks=x")]


async def test_while_the_database_is_down_pages_say_so(tmp_path: Path) -> None:
    file, away = tmp_path / "test.db", tmp_path / "away.db"
    site = running(f"sqlite:///{file}", tmp_path, await make_password_hash())
    async with site as app, app.signed_in("superuser") as client:
        assert (await client.get("/admin/product/list")).status_code == 200
        await app.runtime.database.dispose()
        file.rename(away)
        file.mkdir()
        for method, path in WAYS:
            answer = await client.request(method, f"/admin/{path}")
            assert answer.status_code == 503, path
            assert answer.headers["retry-after"]
        sign_in = {"username": email("superuser"), "password": PASSWORD}
        assert (await app.client().post("/admin/login", data=sign_in)).status_code == 503
        file.rmdir()
        away.rename(file)
        assert (await client.get("/admin/product/list")).status_code == 200
