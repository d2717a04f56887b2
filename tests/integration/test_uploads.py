from __future__ import annotations

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from fastopp.errors import FastOppError
from fastopp.storage.disk import CHUNK
from fastopp.storage.local import LocalStorage
from fastopp.web.uploads import create_router

KEY = "photos/0123456789abcdef0123456789abcdef.jpg"
URL = f"/static/uploads/{KEY}"
CONTENT = b"0123456789"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "uploads")


@pytest.fixture
async def client(storage: LocalStorage) -> AsyncIterator[httpx.AsyncClient]:
    await storage.put(KEY, CONTENT, content_type="image/jpeg")
    application = FastAPI()
    application.include_router(create_router())
    application.state.runtime = SimpleNamespace(storage=storage)

    @application.exception_handler(FastOppError)
    async def answer(_: Request, error: FastOppError) -> Response:
        return Response(str(error), error.status)

    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_photo(client: httpx.AsyncClient, storage: LocalStorage) -> None:
    answer = await client.get(URL)
    stored = await storage.head(KEY)
    assert answer.status_code == 200
    assert answer.content == CONTENT
    headers = answer.headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-length"] == "10"
    assert headers["etag"] == stored.etag
    assert headers["last-modified"] == format_datetime(stored.modified, usegmt=True)
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["accept-ranges"] == "bytes"
    assert headers["content-disposition"] == "inline"
    assert "sandbox" in headers["content-security-policy"]
    assert "set-cookie" not in headers


async def test_head(client: httpx.AsyncClient) -> None:
    got, head = await client.get(URL), await client.head(URL, headers={"Range": "bytes=0-1"})
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers == got.headers
    assert (await client.head("/static/uploads/photos/none.jpg")).status_code == 404


async def test_other_methods(client: httpx.AsyncClient) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert (await client.request(method, URL)).status_code == 405


async def test_a_name_that_may_stand_for_something_else_later(client: httpx.AsyncClient, storage: LocalStorage) -> None:
    await storage.put("sample_photos/jane.jpg", b"x", content_type="image/jpeg")
    answer = await client.get("/static/uploads/sample_photos/jane.jpg")
    assert answer.headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize("name", ["page.html", "image.svg", "script.js", "data", "paper.pdf"])
async def test_what_is_no_picture_is_a_download(client: httpx.AsyncClient, storage: LocalStorage, name: str) -> None:
    await storage.put(name, b"<script>alert(1)</script>", content_type="text/html")
    answer = await client.get(f"/static/uploads/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == "attachment"
    assert answer.headers["content-type"] in ("application/octet-stream", "application/pdf")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("tags", ["{etag}", "W/{etag}", '"other", {etag}', '"other",W/{etag} ', "*"])
async def test_if_none_match(client: httpx.AsyncClient, tags: str) -> None:
    etag = (await client.get(URL)).headers["etag"]
    for method in ("GET", "HEAD"):
        answer = await client.request(method, URL, headers={"If-None-Match": tags.format(etag=etag)})
        assert answer.status_code == 304
        assert answer.content == b""
        assert answer.headers["etag"] == etag
        assert "immutable" in answer.headers["cache-control"]
        assert "content-type" not in answer.headers


async def test_if_none_match_with_another(client: httpx.AsyncClient) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(days=1), usegmt=True)
    answer = await client.get(URL, headers={"If-None-Match": '"other"', "If-Modified-Since": later})
    assert answer.status_code == 200, "If-Modified-Since counts only where there is no If-None-Match"


@pytest.mark.parametrize(("days", "status"), [(1, 304), (-1, 200)])
async def test_if_modified_since(client: httpx.AsyncClient, days: int, status: int) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(days=days), usegmt=True)
    assert (await client.get(URL, headers={"If-Modified-Since": date})).status_code == status
    exact = (await client.get(URL)).headers["last-modified"]
    assert (await client.get(URL, headers={"If-Modified-Since": exact})).status_code == 304


@pytest.mark.parametrize("date", ["", "yesterday", "0", "Tue, 24 Nov 2026 21:00:00", "é"])
async def test_a_date_that_is_none(client: httpx.AsyncClient, date: str) -> None:
    assert (await client.get(URL, headers={"If-Modified-Since": date.encode()})).status_code == 200


@pytest.mark.parametrize(
    ("range_", "content", "content_range"),
    [
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=0-", CONTENT, "bytes 0-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", CONTENT, "bytes 0-9/10"),
    ],
)
async def test_range(client: httpx.AsyncClient, range_: str, content: bytes, content_range: str) -> None:
    answer = await client.get(URL, headers={"Range": range_})
    assert answer.status_code == 206
    assert answer.content == content
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("range_", ["bytes=10-", "bytes=99-100", "bytes=-0", f"bytes={10**17}-"])
async def test_range_that_is_not_there(client: httpx.AsyncClient, range_: str) -> None:
    answer = await client.get(URL, headers={"Range": range_})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == "bytes */10"


@pytest.mark.parametrize(
    "range_",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=4-2",
        "bytes=a-b",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=-1-2",
        f"bytes=0-{'9' * 5000}",
        "bytes=\u0661-\u0662",
    ],
)
async def test_range_that_is_none_is_ignored(client: httpx.AsyncClient, range_: str) -> None:
    answer = await client.get(URL, headers={"Range": range_.encode()})
    assert answer.status_code == 200
    assert answer.content == CONTENT


async def test_if_range(client: httpx.AsyncClient) -> None:
    whole = await client.get(URL)
    for condition in (whole.headers["etag"], whole.headers["last-modified"]):
        answer = await client.get(URL, headers={"Range": "bytes=0-1", "If-Range": condition})
        assert answer.status_code == 206
    for condition in ('"other"', f"W/{whole.headers['etag']}", "Tue, 24 Nov 2020 21:00:00 GMT"):
        answer = await client.get(URL, headers={"Range": "bytes=0-1", "If-Range": condition})
        assert answer.status_code == 200
        assert answer.content == CONTENT


async def test_an_empty_file(client: httpx.AsyncClient, storage: LocalStorage) -> None:
    await storage.put(KEY, b"", content_type="image/jpeg")
    answer = await client.get(URL)
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")
    assert (await client.get(URL, headers={"Range": "bytes=0-"})).status_code == 416


async def test_a_big_file(client: httpx.AsyncClient, storage: LocalStorage) -> None:
    content = os.urandom(CHUNK * 5 + 77)
    await storage.put(KEY, content, content_type="image/jpeg")
    answer = await client.get(URL)
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    answer = await client.get(URL, headers={"Range": f"bytes=5-{CHUNK * 3}"})
    assert answer.content == content[5 : CHUNK * 3 + 1]
    assert answer.headers["content-length"] == str(CHUNK * 3 - 4)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("photos/none.jpg", 404),
        ("photos", 404),
        ("photos/", 400),
        ("", 400),
        ("%2e%2e/secret.txt", 400),
        ("..%2fsecret.txt", 400),
        ("photos/..%2f..%2fsecret.txt", 400),
        ("%2fetc%2fpasswd", 400),
        ("/etc/passwd", 400),
        ("..%5csecret.txt", 400),
        ("photos%00.jpg", 400),
        ("%252e%252e%252fsecret.txt", 404),
        ("%c0%ae%c0%ae/secret.txt", 404),
        (".incoming-0123", 400),
        ("x" * 300, 400),
        ("x/" * 600 + "x", 400),
    ],
)
async def test_nothing_outside_is_served(
    client: httpx.AsyncClient, storage: LocalStorage, path: str, status: int
) -> None:
    storage.root.with_name("secret.txt").write_text("secret")
    answer = await client.get(f"/static/uploads/{path}")
    assert answer.status_code == status
    assert answer.text != "secret"


async def test_the_url_of_an_odd_key_leads_to_it(client: httpx.AsyncClient, storage: LocalStorage) -> None:
    for key in ("photos/a b.jpg", "photos/a%2fb.jpg", "photos/a+b?c#d.jpg", "photos/写真.jpg"):
        await storage.put(key, key.encode(), content_type="image/jpeg")
        assert (await client.get(storage.url(key))).content == key.encode()
