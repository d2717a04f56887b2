"""What stands on every answer, and what is believed of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import Request, Response

from fastopp.web.middleware.headers import content_security_policy, origin_of
from tests.services.web_project import BROWSER, client, make_app

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "k" * 16 + "0123456789abcdefXYZ"}


@pytest.mark.parametrize("path", ["/where", "/nowhere", "/static/app.css", "/fail/bug", "/fail/unavailable", "/docs"])
async def test_every_answer_has_them(tmp_path: Path, path: str) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        headers = (await browser.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert len(headers["x-request-id"]) == 32
    assert "strict-transport-security" not in headers


async def test_only_the_admin_has_a_looser_policy(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        assert "script-src 'self' 'unsafe-inline'" in (await caller.get("/admin/x")).headers["content-security-policy"]
        assert "unsafe" not in (await caller.get("/administration")).headers["content-security-policy"]


async def test_a_sane_request_id_is_kept(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        kept = await caller.get("/nowhere", headers={"x-request-id": "trace-0123.abc"})
        assert kept.headers["x-request-id"] == "trace-0123.abc"
        assert kept.json()["request_id"] == "trace-0123.abc"
        for insane in ("short", "x" * 129, "a b c d e f g", "<script>alert(1)</script>"):
            made = await caller.get("/nowhere", headers={"x-request-id": insane})
            assert made.headers["x-request-id"] != insane


async def test_the_proxy_tells_the_scheme(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        assert (await caller.get("/where")).json() == {"base": "http://testserver/"}
        for said in ("https", "HTTPS", "https, http"):
            answer = await caller.get("/where", headers={"x-forwarded-proto": said})
            assert answer.json() == {"base": "https://testserver/"}
        for said in ("http", "gopher", ""):
            answer = await caller.get("/where", headers={"x-forwarded-proto": said})
            assert answer.json() == {"base": "http://testserver/"}
    async with client(make_app(tmp_path, {"FORCE_HTTPS": "true"})) as caller:
        assert (await caller.get("/where")).json() == {"base": "https://testserver/"}


async def test_https_makes_cookies_secure_and_production_lasting(tmp_path: Path) -> None:
    https = {"x-forwarded-proto": "https"}
    async with client(make_app(tmp_path)) as caller:
        assert "secure" not in (await caller.post("/enter")).headers["set-cookie"].lower()
        answer = await caller.get("/where", headers=https)
        assert "strict-transport-security" not in answer.headers
    async with client(make_app(tmp_path, PRODUCTION)) as caller:
        answer = await caller.post("/enter", headers=https)
        assert answer.headers["set-cookie"].lower().count("; secure") == 1
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert "strict-transport-security" not in (await caller.get("/where")).headers


def test_pictures_may_come_from_the_bucket() -> None:
    policy = content_security_policy(origin_of("https://cdn.example.com/bucket/"))
    assert "img-src 'self' data: blob: https://cdn.example.com;" in policy
    assert origin_of("rubbish") == ""


async def test_head_is_answered_wherever_get_is(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        got, head = await caller.get("/where"), await caller.head("/where")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
        assert (await caller.head("/nowhere")).status_code == 404
        assert (await caller.head("/static/app.css")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"cookie": "access_token=x"},
        {"cookie": "a=b; session=x"},
        {"cookie": "__Host-session=x"},
        {"cookie": "__Host-access_token=x"},
        {"authorization": "Bearer x"},
    ],
)
@pytest.mark.parametrize("path", ["/where", "/nowhere", "/sign-in-form"])
async def test_what_may_be_personal_is_stored_nowhere(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    async with client(make_app(tmp_path)) as caller:
        answer = await caller.get(path, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        public = await caller.get("/where", headers={"cookie": "theme=dark; device=x; mysession=x"})
        assert "cache-control" not in public.headers
        shared = await caller.get("/static/app.css", headers=headers)
        assert shared.status_code == 200
        assert "no-store" not in shared.headers.get("cache-control", "")


async def test_a_redirect_names_no_host(tmp_path: Path) -> None:
    app = make_app(tmp_path, PRODUCTION | {"ALLOWED_HOSTS": ""})
    targets = {
        "absolute": "{base}/shop?a=b#c",
        "bare": "{base}",
        "slashes": "{base}//evil.example/x",
        "backslashes": "{base}/\\\\evil.example/x",
        "elsewhere": "https://elsewhere.example/x",
        "relative": "/shop",
        "broken": "http://[",
    }

    @app.get("/to/{name}")
    async def to(request: Request, name: str) -> Response:
        base = f"{request.url.scheme}://{request.headers['host']}"
        return Response(status_code=302, headers={"Location": targets[name].format(base=base)})

    @app.get("/slash/")
    async def slash() -> None: ...

    for headers in ({"host": "made-up.example"}, {"host": "made-up.example:8000", "x-forwarded-proto": "https"}):
        async with client(app) as caller:
            found = {name: (await caller.get(f"/to/{name}", headers=headers)).headers["location"] for name in targets}
            assert found == {
                "absolute": "/shop?a=b#c",
                "bare": "/",
                "slashes": "/evil.example/x",
                "backslashes": "/evil.example/x",
                "elsewhere": "https://elsewhere.example/x",
                "relative": "/shop",
                "broken": "http://[",
            }
            assert (await caller.get("/slash", headers=headers)).headers["location"] == "/slash/"
            odd = await caller.get("//evil.example/slash", headers=headers)
            assert "evil" not in odd.headers.get("location", "").partition("?")[0][:2]


async def test_options_and_405_name_head_beside_get(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        for answer in (await caller.options("/where"), await caller.post("/where")):
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_a_page_names_its_nonce_and_a_fragment_that_of_its_page(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/own.html").write_text(
        '{% extends "base.html" %}{% block title %}{{ csp_nonce }}!{% endblock %}'
    )
    (tmp_path / "templates/part.html").write_text("{{ csp_nonce }}")
    async with client(make_app(tmp_path)) as caller:
        page, other = await caller.get("/page/own.html"), await caller.get("/page/own.html")
        nonce = page.text.partition("<title>")[2].partition("!")[0]
        assert len(nonce) == 22
        policy = page.headers["content-security-policy"]
        assert f"script-src 'self' 'nonce-{nonce}';" in policy
        assert f"style-src 'self' 'nonce-{nonce}';" in policy
        assert nonce not in other.headers["content-security-policy"]
        sent = {"x-csp-nonce": nonce}
        assert (await caller.get("/page/part.html", headers={**sent, "hx-request": "true"})).text == nonce
        assert (await caller.get("/page/part.html", headers=sent)).text != nonce
        forged = {"x-csp-nonce": "'; script-src *; x '____", "hx-request": "true"}
        answer = await caller.get("/page/part.html", headers=forged)
        assert "script-src *" not in answer.headers["content-security-policy"]
        assert "nonce" not in (await caller.get("/where")).headers["content-security-policy"]
