"""Requests that another site makes a browser send are refused; everything else passes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from fastopp.web.middleware.csrf import is_cross_site
from tests.services.web_project import BROWSER, client, make_app


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session."""
    async with client(make_app(tmp_path), **BROWSER) as browser:
        await browser.post("/enter")
        assert "session" in browser.cookies
        yield browser


async def token_of(browser: httpx.AsyncClient) -> str:
    page = (await browser.get("/sign-in-form")).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    meta = re.search(r'name="csrf-token" content="([^"]+)"', page)
    assert meta
    assert meta[1] == found[1]
    return found[1]


@pytest.mark.parametrize(
    ("headers", "cross"),
    [
        ({}, False),
        ({"sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "none"}, False),
        ({"sec-fetch-site": "cross-site"}, True),
        ({"sec-fetch-site": "same-site"}, True),
        ({"sec-fetch-site": "same-origin", "origin": "https://evil.example"}, False),
        ({"origin": "http://shop.example"}, False),
        ({"origin": "https://shop.example"}, False),
        ({"origin": "https://SHOP.example"}, False),
        ({"origin": "https://shop.example.evil.example"}, True),
        ({"origin": "https://shop.example:8443"}, True),
        ({"origin": "null"}, True),
        ({"origin": "http://["}, True),
        ({"referer": "https://shop.example/page"}, False),
        ({"referer": "https://evil.example/shop.example"}, True),
    ],
)
def test_what_a_browser_says_about_the_source(headers: dict[str, str], *, cross: bool) -> None:
    raw = [(name.encode(), value.encode()) for name, value in {"host": "shop.example", **headers}.items()]
    assert is_cross_site({"type": "http", "headers": raw}) is cross


async def test_another_site_is_refused_even_without_cookies(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        for path in ("/form", "/nowhere"):
            answer = await caller.post(path, headers={"origin": "https://evil.example"})
            assert answer.status_code == 403
            assert "Another site" in answer.json()["detail"]
        assert (await caller.get("/where", headers={"origin": "https://evil.example"})).status_code == 200


async def test_a_caller_without_our_cookies_passes(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as curl:
        assert (await curl.post("/form", data={"word": "a"})).json() == {"word": "a"}


async def test_a_browser_with_cookies_needs_the_token(browser: httpx.AsyncClient) -> None:
    refused = await browser.post("/form", data={"word": "a"})
    assert refused.status_code == 403
    assert "expired" in refused.text


async def test_the_token_in_a_form_or_header_passes(browser: httpx.AsyncClient) -> None:
    token = await token_of(browser)
    body = {"word": "a", "csrf_token": token}
    assert (await browser.post("/form", data=body)).json() == {"word": "a"}
    as_multipart = await browser.post("/form", data=body, files={"photo": b"x"})
    assert as_multipart.json() == {"word": "a"}
    by_script = await browser.post("/json", json={"email": "a", "password": "b"}, headers={"x-csrf-token": token})
    assert by_script.status_code == 200


@pytest.mark.parametrize("wrong", ["", "x", "é", "\x00"])
async def test_a_wrong_token_is_refused(browser: httpx.AsyncClient, wrong: str) -> None:
    await token_of(browser)
    assert (await browser.post("/form", data={"csrf_token": wrong})).status_code == 403


async def test_a_file_in_place_of_the_token_is_refused(browser: httpx.AsyncClient) -> None:
    await token_of(browser)
    assert (await browser.post("/form", files={"csrf_token": b"x"})).status_code == 403


async def test_a_token_of_another_session_is_refused(browser: httpx.AsyncClient, tmp_path: Path) -> None:
    token = await token_of(browser)
    async with client(make_app(tmp_path), **BROWSER) as other:
        await other.post("/enter")
        await token_of(other)
        assert (await other.post("/form", data={"csrf_token": token})).status_code == 403


async def test_the_access_token_cookie_alone_needs_a_token_too(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        caller.cookies.set("access_token", "x")
        assert (await caller.post("/form")).status_code == 403
        assert (await caller.post("/form", headers={"authorization": "Bearer x"})).status_code == 200


async def test_a_forged_session_cookie_is_no_session(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        caller.cookies.set("session", "rubbish")
        assert (await caller.post("/form")).status_code == 200


async def test_a_visitor_who_only_reads_gets_no_cookie(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as visitor:
        answer = await visitor.get("/nowhere")
        assert "set-cookie" not in answer.headers
        assert "csrf-token" not in answer.text


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "Negotiate x", "Digest username=a", "Bearer", "Bearer ", "x", ""]
)
async def test_what_a_browser_may_send_by_itself_is_no_excuse(browser: httpx.AsyncClient, value: str) -> None:
    refused = await browser.post("/form", data={"word": "a"}, headers={"authorization": value})
    assert refused.status_code == 403
