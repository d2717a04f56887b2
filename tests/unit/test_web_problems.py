"""Who asks decides how an error is answered; what may be told is told, and nothing else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.services.web_project import BROWSER, HTMX, client, make_app


async def test_an_api_caller_gets_problem_json(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        answer = await caller.get("/fail/forbidden")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "detail": "Only sales may see this.",
        "hint": "Ask a superuser.",
        "request_id": answer.headers["x-request-id"],
    }


async def test_the_api_answers_json_even_to_a_browser(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        answer = await browser.get("/api/fail/unauthorized")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["status"] == 401


@pytest.mark.parametrize(
    ("kind", "detail"), [("plain", "There is nothing at this address."), ("worded", "No such product.")]
)
async def test_http_exceptions_keep_their_words(tmp_path: Path, kind: str, detail: str) -> None:
    async with client(make_app(tmp_path)) as caller:
        assert (await caller.get(f"/fail/{kind}")).json()["detail"] == detail


async def test_a_handlers_own_structure_is_kept(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        assert (await caller.get("/fail/structure")).json()["detail"] == {"field": "email"}


async def test_unknown_addresses_and_methods(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        assert (await caller.get("/nowhere")).json()["status"] == 404
        wrong = await caller.put("/form")
        assert wrong.status_code == 405
        assert wrong.headers["allow"] == "POST"
        assert (await caller.get("/static/nothing.css")).status_code == 404


@pytest.mark.parametrize("path", ["/fail/unauthorized", "/fail/unauthorized?a=1&b=%C3%A9"])
async def test_a_browsers_get_is_sent_to_sign_in_and_back(tmp_path: Path, path: str) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        answer = await browser.get(path)
        assert answer.status_code == 303
        location = answer.headers["location"]
        assert location.startswith("/login?next=/fail/unauthorized")
        assert "&" not in location
        posted = await browser.post(path)
        assert posted.status_code == 401
        assert "Sign in" in posted.text


async def test_a_page_explains_a_missing_role(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), x_role="staff", **BROWSER) as browser:
        page = (await browser.get("/fail/forbidden")).text
    assert "Only sales may see this." in page
    assert "ada@example.com" in page
    assert "Sign out" in page


async def test_a_page_comes_back_by_itself_when_the_database_is_away(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        answer = await browser.get("/fail/unavailable")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert '<meta http-equiv="refresh" content="5">' in answer.text
        assert "refresh" not in (await browser.post("/fail/unavailable")).text.split("</head>")[0]


@pytest.mark.parametrize("headers", [{}, BROWSER, HTMX])
async def test_a_bug_is_logged_and_told_to_nobody(
    tmp_path: Path, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with client(make_app(tmp_path), **headers) as caller:
        with caplog.at_level(logging.ERROR):
            answer = await caller.get("/fail/bug", headers={"x-request-id": "trace-me-please"})
    assert answer.status_code == 500
    assert "s3cr3t" not in answer.text
    assert "trace-me-please" in answer.text
    record = next(record for record in caplog.records if record.name == "fastopp.web.problems")
    assert record.__dict__["request_id"] == "trace-me-please"
    assert record.exc_info


async def test_htmx_gets_a_message_for_the_alert_region(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **HTMX) as page:
        answer = await page.get("/fail/forbidden")
        assert answer.status_code == 403
        assert answer.headers["hx-retarget"] == "#alerts"
        assert "<html" not in answer.text
        assert "Only sales may see this." in answer.text
        signed_out = await page.get("/fail/unauthorized")
        assert signed_out.status_code == 401
        assert signed_out.headers["hx-redirect"] == "/login?next=/shop%3Fpage%3D2"


async def test_mistakes_in_a_body_keep_fastapis_shape_without_secrets(tmp_path: Path) -> None:
    async with client(make_app(tmp_path)) as caller:
        answer = await caller.post("/json", json={"password": ["hunter2"], "age": "old"})
        assert answer.status_code == 422
        mistakes = {mistake["loc"][-1]: mistake for mistake in answer.json()["detail"]}
        assert mistakes["age"]["input"] == "old"
        assert mistakes["age"]["type"] == "int_parsing"
        assert mistakes["email"]["type"] == "missing"
        assert "hunter2" not in answer.text
        whole = await caller.post("/json", json="my password is hunter2")
        assert whole.status_code == 422
        assert "hunter2" not in whole.text


@pytest.mark.parametrize(
    "body", [b'{"age": NaN}', b'{"age": 1e999}', b'{"age": "\\ud800"}', b"{", b"\xff", b'{"age": {"a": [1]}}']
)
async def test_rubbish_is_a_mistake_not_a_bug(tmp_path: Path, body: bytes) -> None:
    async with client(make_app(tmp_path)) as caller:
        answer = await caller.post("/json", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)


async def test_a_person_reads_mistakes_in_words(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        answer = await browser.post("/json", json={"email": "<b>", "password": "x", "age": "old"})
    assert answer.status_code == 422
    assert "age: Input should be a valid integer" in answer.text


@pytest.mark.parametrize("headers", [{}, BROWSER, HTMX])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_that_is_too_large(tmp_path: Path, headers: dict[str, str], *, stream: bool) -> None:
    large = b"word=" + b"x" * (9 * 1024 * 1024)

    async def pieces():
        yield large

    async with client(make_app(tmp_path), **headers) as caller:
        answer = await caller.post(
            "/form",
            content=pieces() if stream else large,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert "x-content-type-options" in answer.headers


@pytest.mark.parametrize("host", ["[", "a b", "testserver:99999", "<script>"])
async def test_a_strange_host_is_no_bug(tmp_path: Path, host: str) -> None:
    anywhere = {"ENVIRONMENT": "production", "SECRET_KEY": "k" * 16 + "0123456789abcdefXYZ", "ALLOWED_HOSTS": ""}
    async with client(make_app(tmp_path, anywhere), **BROWSER) as browser:
        assert (await browser.get("/nowhere", headers={"host": host})).status_code == 404
