from __future__ import annotations

import pytest
from fastapi import FastAPI, Request

from fastopp.core.apps import NavItem
from fastopp.features.accounts.landing import MAX_NEXT, landing_page, page_after_sign_in, safe_next
from fastopp.features.accounts.models import User
from fastopp.web.navigation import MANAGEMENT


def request(*paths: str) -> Request:
    app = FastAPI(openapi_url=None)
    app.state.navigation = [
        NavItem("Shop", "/shop"),
        NavItem("Gone", "/gone", "management", "staff"),
        NavItem("Orders", "/orders", "management", "staff"),
        NavItem("Missing", "/missing", "pages", "user"),
        NavItem("My books", "/books", "pages", "user"),
        *MANAGEMENT,
    ]
    for path in paths:
        app.add_api_route(path, lambda: None)
    headers = [(b"host", b"shop.example:8000")]
    scope = {"type": "http", "app": app, "scheme": "https", "server": ("shop.example", 8000), "path": "/login"}
    return Request(scope | {"headers": headers, "method": "GET", "query_string": b""})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/", "/"),
        ("/oppman/", "/oppman/"),
        ("/a?b=c&d=%0A", "/a?b=c&d=%0A"),
        ("/a?next=//host", "/a?next=//host"),
        ("/a/b:c", "/a/b:c"),
        ("/a#part", "/a"),
        ("/grüße", "/grüße"),
        ("/a%20b", "/a%20b"),
        ("https://shop.example:8000/a?b=c", "/a?b=c"),
        ("http://SHOP.example:8000/a", "/a"),
        ("https://shop.example:8000", "/"),
        ("//shop.example:8000/a", None),
        ("", None),
        ("a", None),
        ("?a=b", None),
        ("//host", None),
        ("///host", None),
        ("/\\host", None),
        ("\\\\host", None),
        ("/\t/host", None),
        ("/\n/host", None),
        ("/%09/host", None),
        ("/%0d%0aSet-Cookie:x", None),
        ("/%5chost", None),
        ("/%2fhost", None),
        (" //host", None),
        ("/a b", None),
        ("https://host/", None),
        ("https://shop.example:8000//host", None),
        ("https://shop.example:8000@host/", None),
        ("https://shop.example/a", None),
        ("ftp://shop.example:8000/a", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https:/a", None),
        ("https:a", None),
        ("http://[::1", None),
        ("/\ud800", None),
        ("/\u202eabc", None),
        ("/login", None),
        ("/login?next=/login", None),
        ("/login/", None),
        ("/logout", None),
        ("/" + "a" * MAX_NEXT, None),
    ],
)
def test_safe_next(text: str, expected: str | None) -> None:
    assert safe_next(text, request()) == expected


SUPERUSER = User(email="a@example.com", hashed_password="", is_superuser=True)
STAFF = User(email="b@example.com", hashed_password="", is_staff=True)
MEMBER = User(email="c@example.com", hashed_password="")


@pytest.mark.parametrize(
    ("user", "paths", "expected"),
    [
        (SUPERUSER, ("/oppman/", "/orders", "/protected"), "/oppman/"),
        (SUPERUSER, ("/protected",), "/protected"),
        (STAFF, ("/oppman/", "/orders", "/protected"), "/orders"),
        (STAFF, ("/oppman/", "/protected"), "/protected"),
        (STAFF, ("/admin/", "/shop"), "/protected"),
        (MEMBER, ("/oppman/", "/orders", "/protected", "/books", "/"), "/books"),
        (MEMBER, ("/oppman/", "/orders", "/protected", "/shop"), "/"),
    ],
)
def test_landing_page(user: User, paths: tuple[str, ...], expected: str) -> None:
    assert landing_page(user, request(*paths)) == expected


@pytest.mark.parametrize(
    ("user", "wanted", "expected"),
    [
        (MEMBER, "/shop?a=b", "/shop?a=b"),
        (MEMBER, "/administration", "/administration"),
        (MEMBER, "/admin", "/books"),
        (MEMBER, "/admin/user/list?page=2", "/books"),
        (MEMBER, "/%61dmin/user/list", "/books"),
        (MEMBER, "/oppman/mail", "/books"),
        (MEMBER, "/oppdemo/", "/books"),
        (MEMBER, "/protected?a=b", "/books"),
        (MEMBER, "//host", "/books"),
        (STAFF, "/admin/user/list", "/admin/user/list"),
        (SUPERUSER, "/oppman/mail", "/oppman/mail"),
    ],
)
def test_the_page_after_signing_in(user: User, wanted: str, expected: str) -> None:
    """Ordinary users never land on the pages of staff."""
    assert page_after_sign_in(user, request("/books", "/orders", "/oppman/"), wanted) == expected
