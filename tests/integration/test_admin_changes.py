"""What the admin writes, on both databases: accounts, products, times, the record of changes, exports, bad input."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from admin_app import PASSWORD, AdminApp, email, make_password_hash, running

from demo.products.models import Product
from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.models import DELETED_DOMAIN, AuditLog, User
from fastopp.features.accounts.passwords import verify_password
from tests.gate import each_database, only_full
from tests.services.postgres import Postgres

SAVE = {"save": "Save"}


@pytest.fixture(params=["sqlite", *only_full("postgresql")])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AdminApp]:
    url = f"sqlite:///{tmp_path}/test.db"
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        url = server.url(server.create_database())
    async with running(url, tmp_path, await make_password_hash()) as app:
        yield app


@pytest.fixture
async def client(site: AdminApp) -> AsyncIterator[httpx.AsyncClient]:
    async with site.signed_in("superuser") as signed_in:
        yield signed_in


async def user(site: AdminApp, group: str) -> User:
    found: User = await site.one(User, User.email == email(group))
    return found


def account(whose: str, /, **changes: str) -> dict[str, str]:
    form = {"email": email(whose), "group": "", "is_active": "y", "is_staff": "y"} | SAVE | changes
    return {name: value for name, value in form.items() if value != "off"}


# Accounts


async def test_a_typed_password_is_hashed_and_works(site: AdminApp, client: httpx.AsyncClient) -> None:
    answer = await client.post("/admin/user/create", data=account("fresh", password="another password"))
    assert answer.status_code == 302, answer.text
    created = await user(site, "fresh")
    assert (await verify_password("another password", created.hashed_password)).matches
    data = {"username": email("fresh"), "password": "another password"}
    assert (await site.client().post("/admin/login", data=data)).status_code == 302

    await client.post(f"/admin/user/edit/{created.id}", data=account("fresh", new_password="a third password"))
    assert (await site.client().post("/admin/login", data=data)).status_code == 400
    data["password"] = "a third password"
    assert (await site.client().post("/admin/login", data=data)).status_code == 302


async def test_an_empty_password_changes_nothing_on_edit_and_is_refused_on_create(
    site: AdminApp, client: httpx.AsyncClient
) -> None:
    before = await user(site, "sales")
    answer = await client.post(
        f"/admin/user/edit/{before.id}", data=account("sales", group="marketing", new_password="")
    )
    assert answer.status_code == 302
    after = await user(site, "sales")
    assert (after.group, after.hashed_password) == ("marketing", before.hashed_password)
    assert (await client.post("/admin/user/create", data=account("fresh"))).status_code == 400
    assert not await site.rows(User, User.email == email("fresh"))


MISTAKES: list[tuple[dict[str, str], str]] = [
    ({"email": "sales@example.com"}, "already an account"),
    ({"email": "SALES@example.com"}, "already an account"),
    ({"email": "no address"}, "not an email address"),
    ({"email": ""}, "required"),
    ({"password": "short"}, "too short"),
]


async def test_mistakes_are_shown_beside_their_field(site: AdminApp, client: httpx.AsyncClient) -> None:
    for changes, message in MISTAKES:
        form = account("fresh", password="another password") | changes
        answer = await client.post("/admin/user/create", data=form)
        assert answer.status_code == 400
        field = answer.text.split(f'name="{next(iter(changes))}"')[1].split("</div>")[0]
        assert message in field, field
        assert "another password" not in answer.text
    assert len(await site.rows(User)) == 5


async def test_hashes_are_nowhere(site: AdminApp, client: httpx.AsyncClient) -> None:
    found = await user(site, "sales")
    await client.post(f"/admin/user/edit/{found.id}", data=account("sales", new_password="a third password"))
    (entry,) = await site.audit("update")
    pages = ["list", "create", f"details/{found.id}", f"edit/{found.id}", "export/csv", "export/json"]
    addresses = [f"/admin/user/{page}" for page in pages]
    for address in [*addresses, f"/admin/audit-log/details/{entry.id}", "/admin/audit-log/export/csv"]:
        answer = await client.get(address)
        assert answer.status_code == 200, address
        assert "argon2" not in answer.text
        assert "a third password" not in answer.text
    assert json.loads(entry.changes) == {
        "hashed_password": "***",
        "group": {"old": "sales", "new": None},
    }
    assert "hashed_password" not in (await client.get("/admin/user/list")).text


async def test_a_field_that_is_not_in_the_form_cannot_be_set(site: AdminApp, client: httpx.AsyncClient) -> None:
    before = await user(site, "sales")
    form = account("sales", hashed_password="x", id="0" * 32)
    assert (await client.post(f"/admin/user/edit/{before.id}", data=form)).status_code == 302
    after = await user(site, "sales")
    assert (after.id, after.hashed_password) == (before.id, before.hashed_password)


async def test_the_last_superuser_stays(site: AdminApp, client: httpx.AsyncClient) -> None:
    admin = await user(site, "superuser")
    for changes in ({"is_superuser": "off"}, {"is_superuser": "y", "is_active": "off"}):
        answer = await client.post(f"/admin/user/edit/{admin.id}", data=account("superuser", **changes))
        assert answer.status_code == 400
        assert "last active superuser" in answer.text
    answer = await client.delete(f"/admin/user/delete?pks={admin.id}")
    assert "error=" in answer.text
    assert await user(site, "superuser") == admin
    await site.add(User(email=email("second"), hashed_password="x", is_superuser=True))
    answer = await client.post(f"/admin/user/edit/{admin.id}", data=account("superuser", is_superuser="off"))
    assert answer.status_code == 302
    assert not (await user(site, "superuser")).is_superuser


@each_database
async def test_two_superusers_cannot_demote_each_other_at_once(site: AdminApp, client: httpx.AsyncClient) -> None:
    first = await user(site, "superuser")
    await site.add(User(email=email("second"), hashed_password=first.hashed_password, is_superuser=True))
    second = await user(site, "second")
    async with site.signed_in("second") as other:
        await asyncio.gather(
            client.post(f"/admin/user/edit/{second.id}", data=account("second")),
            other.post(f"/admin/user/edit/{first.id}", data=account("superuser")),
        )
    assert len(await site.rows(User, User.is_superuser == True)) == 1  # noqa: E712 - SQL


@each_database
async def test_an_account_is_deleted_as_by_its_user(site: AdminApp, client: httpx.AsyncClient) -> None:
    """With its sign-ins; what it changed stays on record, for an account without a name."""
    found, admin = await user(site, "sales"), await user(site, "superuser")
    async with site.signed_in("sales") as sales:
        await site.add(
            AuditLog(user_id=found.id, action="update", model_name="Product", record_id="1", ip_address="192.0.2.1")
        )
        assert "error=" not in (await client.delete(f"/admin/user/delete?pks={found.id}")).text
        assert (await sales.get("/account/sessions")).status_code in (303, 401)
    assert not await site.rows(User, User.id == found.id)
    assert not await site.rows(AuditLog, AuditLog.user_id == found.id)
    (kept,) = await site.rows(AuditLog, AuditLog.record_id == "1")
    (remains,) = await site.rows(User, User.id == kept.user_id)
    assert (kept.ip_address, remains.is_active, remains.email.endswith(DELETED_DOMAIN)) == (None, False, True)
    (deleted,) = await site.rows(AuditLog, AuditLog.action == "delete")
    assert (deleted.user_id, deleted.model_name, deleted.record_id) == (admin.id, "User", str(found.id))
    again = await client.delete(f"/admin/user/delete?pks={remains.id}")
    assert "is deleted already" in (await client.get(again.text)).text
    assert await site.rows(User, User.id == remains.id)


# The record of changes


async def test_each_change_is_recorded(site: AdminApp, client: httpx.AsyncClient) -> None:
    headers = {"user-agent": "Browser/1.0"}
    form = {"name": "Desk", "price": "99.5", "description": "x" * 2000, "in_stock": "y"} | SAVE
    await client.post("/admin/product/create", data=form, headers=headers)
    desk = await site.one(Product, Product.name == "Desk")
    await client.post(f"/admin/product/edit/{desk.id}", data=form | {"price": "89", "description": ""})
    await client.post(f"/admin/product/edit/{desk.id}", data=form | {"price": "89", "description": ""})  # no change
    await client.delete(f"/admin/product/delete?pks={desk.id}")
    admin = await user(site, "superuser")
    created, updated, deleted = [(await site.audit(action))[0] for action in ("create", "update", "delete")]
    for entry in (created, updated, deleted):
        assert (entry.user_id, entry.model_name, entry.record_id) == (admin.id, "Product", str(desk.id))
        assert entry.ip_address == "127.0.0.1"
    assert created.user_agent == "Browser/1.0"
    changes = json.loads(created.changes)
    assert changes["price"] == {"old": None, "new": 99.5}
    assert len(changes["description"]["new"]) < 600
    assert json.loads(updated.changes)["price"] == {"old": 99.5, "new": 89.0}
    assert "name" not in json.loads(updated.changes)
    assert json.loads(deleted.changes)["name"] == {"old": "Desk", "new": None}
    assert len([entry for entry in await site.rows(AuditLog) if entry.action != "sign in"]) == 3


async def test_a_refused_change_leaves_no_record(site: AdminApp, client: httpx.AsyncClient) -> None:
    other, mine = [await site.one(WebinarRegistrant, WebinarRegistrant.name == name) for name in ("Other", "Mine")]
    form = registrant(other, email=mine.email)
    answer = await client.post(f"/admin/webinar-registrants/edit/{other.id}", data=form)
    assert answer.status_code == 400
    assert "already a record" in answer.text
    assert "UPDATE" not in answer.text
    assert [entry.action for entry in await site.rows(AuditLog)] == ["sign in"]


# Times


def registrant(row: WebinarRegistrant, **changes: str) -> dict[str, str]:
    names = ("name", "email", "webinar_title", "status")
    form = {name: str(getattr(row, name)) for name in names} | {"webinar_date": "2027-03-01 18:30:00"}
    return form | SAVE | changes


@each_database
async def test_times_are_typed_and_shown_in_utc(site: AdminApp, client: httpx.AsyncClient) -> None:
    row = await site.one(WebinarRegistrant, WebinarRegistrant.name == "Mine")
    address = f"/admin/webinar-registrants/edit/{row.id}"
    assert 'value="2027-03-01 18:30:00"' in (await client.get(address)).text
    answer = await client.post(address, data=registrant(row, webinar_date="2027-04-05 06:07:08"))
    assert answer.status_code == 302, answer.text
    row = await site.one(WebinarRegistrant, WebinarRegistrant.name == "Mine")
    assert row.webinar_date == datetime(2027, 4, 5, 6, 7, 8, tzinfo=UTC)
    assert row.updated_at > datetime.now(UTC) - timedelta(minutes=1)
    assert "05 Apr 2027, 06:07 UTC" in (await client.get("/admin/webinar-registrants/list")).text
    for wrong in ("tomorrow", "2027-13-01 00:00:00", ""):
        assert (await client.post(address, data=registrant(row, webinar_date=wrong))).status_code == 400


# Exports


async def test_exports(site: AdminApp, client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin/product/export/csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="Product_')
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))}
    assert set(rows) == {"Lamp", "Chair", "'=1+1"}
    assert rows["'=1+1"]["category"] == ""
    assert datetime.fromisoformat(rows["Lamp"]["created_at"]).utcoffset() == timedelta()
    names = {row["name"] for row in (await client.get("/admin/product/export/json")).json()}
    assert names == {"Lamp", "Chair", "=1+1"}
    assert (await client.get("/admin/product/export/xml")).status_code == 404


# Lists


@each_database
async def test_lists_sort_filter_search_and_page(site: AdminApp, client: httpx.AsyncClient) -> None:
    await site.add(*(Product(name=f"Item {number:03}", price=number, category="Many") for number in range(120)))
    listing = "/admin/product/list"

    async def shown(query: str) -> list[str]:
        page = (await client.get(f"{listing}?{query}")).text
        return [name for name in ("Lamp", "Chair", "Item 000", "Item 099", "Item 119") if f"<td>{name}</td>" in page]

    assert await shown("category=Light") == ["Lamp"]
    assert await shown("category=Furniture&in_stock=true") == []
    assert await shown("category=Furniture&in_stock=false") == ["Chair"]
    assert await shown("search=cha") == ["Chair"]
    assert await shown("sortBy=price&sort=desc&pageSize=10") == ["Item 119"]
    assert await shown("category=Many&pageSize=100") == ["Item 000", "Item 099"]
    assert await shown("category=Many&pageSize=100&page=2") == ["Item 119"]
    first = (await client.get(listing)).text
    assert all(f"pageSize={size}" in first for size in (10, 25, 50, 100))
    assert "Back to the site" in first


# Bad input

NOWHERE = "5c2f1e0a-0000-4000-8000-000000000000"


RUBBISH = [
    "product/details/x",
    f"product/details/{NOWHERE}",
    "product/edit/1;2",
    "product/edit/%00",
    "nothing/list",
    "product/list?page=x",
    "product/list?page=" + "9" * 5000,
    "product/list?pageSize=0",
    "product/list?pageSize=-1",
    "product/list?sortBy=nothing",
    "product/list?sortBy=hashed_password",
    "product/list?search=%00",
    "product/list?category=%00",
    "product/ajax/lookup?name=x&term=y",
    "product/x/photo/download/",
    f"product/{NOWHERE}/name/download/",
    "product/action/x",
    "user/list?sortBy=hashed_password",
]


@each_database
async def test_rubbish_in_an_address_is_refused(client: httpx.AsyncClient) -> None:
    for path in RUBBISH:
        answer = await client.get(f"/admin/{path}")
        assert 400 <= answer.status_code < 500, (path, answer.status_code)


ODD = [
    "product/list?page=-5",
    "product/list?page=" + "9" * 40,
    "product/list?pageSize=" + "9" * 40,
    "product/list?sort=sideways",
    "product/list?search=%25_'%22;--",
    "product/list?in_stock=maybe",
    "product/list?search=%ff%fe",
    "product/list?category=" + "x" * 3000,
]


async def test_odd_addresses_show_a_list(client: httpx.AsyncClient) -> None:
    for path in ODD:
        assert (await client.get(f"/admin/{path}", follow_redirects=True)).status_code == 200, path


async def test_rubbish_to_delete_is_refused(client: httpx.AsyncClient) -> None:
    for pks in ("", "x", NOWHERE, ",", "%00", ",".join(["a"] * 101)):
        assert 400 <= (await client.delete(f"/admin/product/delete?pks={pks}")).status_code < 500
    assert (await client.delete("/admin/product/delete")).status_code == 400


BAD_PRODUCTS = [
    {"price": "x"},
    {"price": "nan"},
    {"price": "inf"},
    {"price": "1e999"},
    {"price": ""},
    {"name": ""},
    {"name": "x" * 101},
    {"category": "x" * 51},
    {"name": "a\0b"},
]


@each_database
async def test_rubbish_in_a_form_is_refused(site: AdminApp, client: httpx.AsyncClient) -> None:
    for changes in BAD_PRODUCTS:
        answer = await client.post("/admin/product/create", data={"name": "Desk", "price": "1"} | SAVE | changes)
        assert answer.status_code == 400, changes
    assert len(await site.rows(Product)) == 3


async def test_a_file_for_a_field_that_takes_none_is_refused(site: AdminApp, client: httpx.AsyncClient) -> None:
    lamp = await site.one(Product, Product.name == "Lamp")
    for content in (b"", b"x"):
        for page in ("create", f"edit/{lamp.id}"):
            files = {"name": ("a.txt", content)}
            answer = await client.post(f"/admin/product/{page}", data={"price": "1"} | SAVE, files=files)
            assert answer.status_code == 400


async def test_sign_in_survives_rubbish(site: AdminApp) -> None:
    for data in ({"username": "\0", "password": "\0"}, {"username": "x" * 10_000, "password": "y" * 10_000}):
        assert 400 <= (await site.client().post("/admin/login", data=data)).status_code < 500
    files = {"username": ("a.txt", b"x"), "password": ("b.txt", b"y")}
    assert 400 <= (await site.client().post("/admin/login", files=files)).status_code < 500


# Around it


async def test_behind_a_proxy_with_https_every_link_is_https(site: AdminApp) -> None:
    client = site.client(headers={"x-forwarded-proto": "https"})
    signed_in = await client.post("/admin/login", data={"username": email("superuser"), "password": PASSWORD})
    assert signed_in.headers["location"] == "/admin/"  # no host and no scheme: those that the browser asked
    assert all("; secure" in cookie.lower() for cookie in signed_in.headers.get_list("set-cookie"))
    client.cookies.clear()
    for cookie in signed_in.headers.get_list("set-cookie"):
        name, _, value = cookie.partition(";")[0].partition("=")
        client.cookies.set(name, value)
    for page in ("", "product/list", "product/create", "user/list"):
        text = (await client.get(f"/admin/{page}")).text
        assert "https://site.test/admin/" in text
        assert "http://site.test" not in text
    assert (await client.get("/admin")).headers["location"] == "/admin/"


async def test_everything_a_page_loads_is_served_here(client: httpx.AsyncClient) -> None:
    for page in ("list", "create"):
        text = (await client.get(f"/admin/product/{page}")).text
        for address in re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', text):
            if address.startswith("/static/"):  # the site's own
                continue
            assert address.startswith("http://site.test/admin/statics/")
            answer = await client.get(address)
            assert answer.status_code == 200
            if address.endswith(".css"):
                for part in re.findall(r"url\(['\"]?([^'\")]+)", answer.text):
                    assert part.startswith(("data:", "../webfonts/", "#")), part
                    if part.startswith("../"):
                        font = part.partition("?")[0].partition("#")[0].removeprefix("../")
                        if "v4compatibility" in font:  # SQLAdmin ships none: for names of old icons only
                            continue
                        assert (await client.get(f"/admin/statics/{font}")).status_code == 200, part


async def test_pages_are_not_cached(client: httpx.AsyncClient) -> None:
    assert (await client.get("/admin/user/list")).headers["cache-control"] == "no-store"
