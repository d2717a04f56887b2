"""Who may do what in the admin: every group, every table, every way in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from admin_app import BROWSER, GROUPS, AdminApp, email, make_password_hash, running

from demo.products.models import Product
from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.lockout import ACCOUNT_FAILURES
from fastopp.features.accounts.models import AuditLog, User

# Table, then action, then the groups that may. What is not here is forbidden.
ALL_STAFF = set(GROUPS)
ALLOWED = {
    "user": {key: {"superuser"} for key in ("view", "create", "edit", "delete")},
    "product": {"view": ALL_STAFF, "create": {"superuser"}, "edit": ALL_STAFF, "delete": {"superuser"}},
    "webinar-registrants": {
        "view": {"superuser", "marketing", "sales"},
        "create": {"superuser", "marketing"},
        "edit": {"superuser", "marketing", "sales"},
        "delete": {"superuser", "marketing"},
    },
    "audit-log": {"view": {"superuser"}, "create": set(), "edit": set(), "delete": set()},
}

FORMS = {
    "user": {"email": "new@example.com", "password": "another password", "is_staff": "y"},
    "product": {"name": "New", "price": "3"},
    "webinar-registrants": {
        "name": "New",
        "email": "new@customers.test",
        "webinar_title": "Spring",
        "webinar_date": "2027-03-01 10:00:00",
        "status": "registered",
    },
    "audit-log": {"action": "lie"},
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[AdminApp]:
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, await make_password_hash()) as app:
        await app.add(
            AuditLog(
                user_id=(await app.one(User, User.email == email("nobody"))).id,
                action="x",
                model_name="y",
                record_id="z",
            )
        )
        yield app


async def some_row(site: AdminApp, table: str) -> object:
    if table == "user":
        return (await site.one(User, User.email == email("support"))).id
    if table == "product":
        return (await site.one(Product, Product.name == "Lamp")).id
    if table == "webinar-registrants":  # one that is assigned to sales
        return (await site.one(WebinarRegistrant, WebinarRegistrant.name == "Mine")).id
    return (await site.one(AuditLog, AuditLog.action == "x")).id


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("table", ALLOWED)
async def test_matrix(site: AdminApp, group: str, table: str) -> None:
    row = await some_row(site, table)
    form = FORMS[table]
    ways = [
        ("view", "GET", "list", None),
        ("view", "GET", f"details/{row}", None),
        ("view", "GET", "export/csv", None),
        ("view", "GET", "export/json", None),
        ("create", "GET", "create", None),
        ("create", "POST", "create", form | {"save": "Save"}),
        ("edit", "GET", f"edit/{row}", None),
        (
            "edit",
            "POST",
            f"edit/{row}",
            form | {"save": "Save"} | ({"email": "x@example.com"} if "email" in form else {}),
        ),
        ("delete", "DELETE", f"delete?pks={row}", None),
    ]
    async with site.signed_in(group) as client:
        for action, method, path, data in ways:
            answer = await client.request(method, f"/admin/{table}/{path}", data=data)
            allowed = group in ALLOWED[table][action]
            expected = {200, 302} if allowed else {403}
            assert answer.status_code in expected, (action, method, path, answer.status_code, answer.text[-600:])
            if method == "POST" and allowed:
                assert answer.status_code == 302


@pytest.mark.parametrize("group", GROUPS)
async def test_menu_and_buttons_show_only_what_is_allowed(site: AdminApp, group: str) -> None:
    async with site.signed_in(group) as client:
        index = (await client.get("/admin/")).text
        for table, actions in ALLOWED.items():
            link = f"/admin/{table}/list"
            assert (link in index) == (group in actions["view"])
            if group not in actions["view"]:
                continue
            page = (await client.get(link)).text
            assert (f"/admin/{table}/create" in page) == (group in actions["create"])
            assert (f"/admin/{table}/edit/" in page) == (group in actions["edit"])
            assert (f"/admin/{table}/delete" in page) == (group in actions["delete"])
            details = (await client.get(f"/admin/{table}/details/{await some_row(site, table)}")).text
            assert (f"/admin/{table}/edit/" in details) == (group in actions["edit"])
            assert (f"/admin/{table}/delete" in details) == (group in actions["delete"])


async def test_sales_see_and_touch_only_their_own_registrants(site: AdminApp) -> None:
    other = await site.one(WebinarRegistrant, WebinarRegistrant.name == "Other")
    base = "/admin/webinar-registrants"
    async with site.signed_in("sales") as client:
        page = (await client.get(f"{base}/list")).text
        assert "mine@customers.test" in page
        assert "other@customers.test" not in page
        assert "of 1 items" in page
        assert "other@customers.test" not in (await client.get(f"{base}/list?search=customers")).text
        for kind in ("csv", "json"):
            export = (await client.get(f"{base}/export/{kind}")).text
            assert "mine@customers.test" in export
            assert "other@customers.test" not in export
        assert (await client.get(f"{base}/details/{other.id}")).status_code == 404
        assert (await client.get(f"{base}/edit/{other.id}")).status_code == 404
        answer = await client.post(f"{base}/edit/{other.id}", data=FORMS["webinar-registrants"] | {"save": "Save"})
        assert answer.status_code == 404
    assert (await site.one(WebinarRegistrant, WebinarRegistrant.id == other.id)).name == "Other"


async def test_a_filter_offers_only_values_of_visible_rows(site: AdminApp) -> None:
    await site.add(
        WebinarRegistrant(
            **(await site.one(WebinarRegistrant, WebinarRegistrant.name == "Other")).model_dump(
                exclude={"id", "email", "group"}
            ),
            email="x@customers.test",
            group="the-hidden-group",
        )
    )
    async with site.signed_in("marketing") as client:
        assert "the-hidden-group" in (await client.get("/admin/webinar-registrants/list")).text
    async with site.signed_in("sales") as client:
        assert "the-hidden-group" not in (await client.get("/admin/webinar-registrants/list")).text


async def test_rights_are_those_of_the_row_and_not_of_the_token(site: AdminApp) -> None:
    async with site.signed_in("superuser") as client:
        assert (await client.get("/admin/user/list")).status_code == 200
        await change(site, "superuser", is_superuser=False)
        assert (await client.get("/admin/user/list")).status_code == 403
        assert (await client.get("/admin/product/list")).status_code == 200
        await change(site, "superuser", is_staff=False)
        assert (await client.get("/admin/product/list")).status_code == 403
        await change(site, "superuser", is_staff=True, is_active=False)
        answer = await client.get("/admin/product/list?page=2")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/admin/product/list")


async def change(site: AdminApp, group: str, **values: bool) -> None:
    async with site.runtime.database.transaction() as session:
        user = await session.get(User, (await site.one(User, User.email == email(group))).id)
        for name, value in values.items():
            setattr(user, name, value)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/"),
        ("GET", "/admin/product/list"),
        ("POST", "/admin/product/create"),
        ("DELETE", "/admin/product/delete?pks=1"),
        ("GET", "/admin/product/export/csv"),
        ("GET", "/admin/product/ajax/lookup?name=a&term=b"),
        ("POST", "/admin/product/import"),
    ],
)
async def test_nothing_without_signing_in(site: AdminApp, method: str, path: str) -> None:
    async with site.client() as client:
        answer = await client.request(method, path)
        if method == "GET":
            assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/login")
        else:
            assert answer.status_code == 401
        answer = await client.request(method, path, headers={"accept": "application/json"})
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"


async def test_signing_in_on_either_page_is_enough(site: AdminApp) -> None:
    async with site.client() as client:
        await client.post("/login", data={"username": email("support"), "password": "correct horse"})
        assert (await client.get("/admin/product/list")).status_code == 200
        answer = await client.get("/admin/logout")
        assert answer.status_code == 302
        assert (await client.get("/admin/")).status_code == 303
        assert (await client.get("/protected")).status_code == 303
        await client.post("/admin/login", data={"username": email("support"), "password": "correct horse"})
        assert (await client.get("/protected")).status_code == 200
        assert (await client.get("/admin/login")).status_code == 302


async def test_sign_in_page(site: AdminApp) -> None:
    async with site.client() as client:
        bad = await client.post("/admin/login", data={"username": "<b>@example.com", "password": "wrong"})
        assert bad.status_code == 400
        assert "is wrong" in bad.text
        assert "<b>" not in bad.text
        assert (await client.post("/admin/login", data={})).status_code == 400
        data = {"username": email("sales"), "password": "correct horse"}
        for target, expected in [
            ("/admin/product/list?page=2", "/admin/product/list?page=2"),
            ("//evil.test", "/admin/"),
            ("https://evil.test/", "/admin/"),
            ("/admin/logout", "/admin/"),
        ]:
            client.cookies.clear()
            answer = await client.post("/admin/login", params={"next": target}, data=data)
            assert answer.headers["location"] == expected


async def test_an_account_is_locked_here_as_on_the_other_page(site: AdminApp) -> None:
    wrong = {"username": email("sales"), "password": "wrong"}
    for _ in range(ACCOUNT_FAILURES):
        await site.client().post("/login", data=wrong)
    async with site.client() as client:
        answer = await client.post("/admin/login", data=wrong | {"password": "correct horse"})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_a_form_from_another_site_is_refused(site: AdminApp) -> None:
    async with site.signed_in("superuser") as client:
        for headers in ({"origin": "https://evil.test"}, {"sec-fetch-site": "cross-site"}):
            answer = await client.post("/admin/product/create", data=FORMS["product"], headers=BROWSER | headers)
            assert answer.status_code == 403
    assert not await site.rows(Product, Product.name == "New")
