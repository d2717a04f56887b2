"""Entity tags and 304: of their own accord for visitors, and by `ConditionalDep`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import format_datetime
from pathlib import Path

import pytest

from demo.products.models import Product
from fastopp.web.entity_tags import has, tag_of_body
from tests.services.cache_app.routes import calls
from tests.services.databases import url_on
from tests.services.ops_project import BROWSER, Project, initialised, running

url = url_on("sqlite", fill=initialised)
APPS = ["demo.users", "demo.products", "tests.services.cache_app"]


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    calls.clear()
    async with running(url, tmp_path, {"LANGUAGES": "en, de"}, apps=APPS) as started:
        async with started.runtime.database.transaction() as session:
            session.add(Product(name="Lamp", price=1))
        yield started


async def test_answers_for_visitors_have_a_tag(project: Project) -> None:
    async with project.client() as client:
        for address in ("/openapi.json", "/", "/offer?name=lamp"):
            first = await client.get(address, headers=BROWSER)
            assert first.headers["etag"].startswith('W/"')
            assert "Accept-Encoding" in first.headers["vary"]
            for name in ("Accept-Encoding", "X-Nothing"):  # compressed or not
                again = await client.get(address, headers={"If-None-Match": first.headers["etag"], name: "gzip"})
                assert (again.status_code, again.content) == (304, b"")
        plain = await client.get("/openapi.json", headers={"Accept-Encoding": "identity"})
        del client.headers["accept-encoding"]
        assert (await client.get("/openapi.json")).headers["etag"] == plain.headers["etag"]
        assert "etag" not in (await client.get("/nothing-here")).headers
        assert "etag" not in (await client.get("/login", headers=BROWSER)).headers  # a form with a token
        client.cookies.clear()
        assert (await client.get("/list", headers={"If-None-Match": "*"})).status_code == 304


async def test_who_is_signed_in_gets_no_tag_of_its_own_accord(project: Project) -> None:
    async with project.signed_in() as admin:
        answer = await admin.get("/")
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"


async def test_a_declared_version_spares_the_template(project: Project) -> None:
    async with project.client() as client:
        first = await client.get("/detail")
        again = await client.get("/detail", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, calls["detail"]) == (304, b"", 1)
        assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
        assert first.headers["vary"] == "Cookie, Accept-Language, HX-Request, HX-Target, Accept-Encoding"
        assert again.headers["last-modified"] == first.headers["last-modified"]
        public = await client.get("/detail?public=true")
        assert public.headers["cache-control"] == "public, max-age=10"

        for headers in ({"Accept-Language": "de"}, {"HX-Request": "true"}):
            other = await client.get("/detail", headers={"If-None-Match": first.headers["etag"], **headers})
            assert other.status_code == 200
        await client.post("/empty")
        await client.post("/products?name=Chair")
        changed = await client.get("/detail", headers={"If-None-Match": first.headers["etag"]})
        assert changed.status_code == 200


async def test_accounts_have_versions_of_their_own(project: Project) -> None:
    async with project.signed_in() as admin, project.client() as client:
        tag = (await client.get("/detail?public=true")).headers["etag"]
        first = await admin.get("/detail?public=true", headers={"If-None-Match": tag})
        assert first.status_code == 200
        assert first.headers["cache-control"] == "private, max-age=10"
        calls.clear()
        again = await admin.get("/detail?public=true", headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, calls["detail"]) == (304, 0)


async def test_times_are_compared_where_there_is_no_tag(project: Project) -> None:
    [product] = await project.all(Product)
    async with project.client() as client:
        same = {"If-Modified-Since": format_datetime(product.updated_at, usegmt=True)}
        assert (await client.get("/detail", headers=same)).status_code == 304
        for since in ("Thu, 01 Jan 2015 00:00:00 GMT", "yesterday"):
            assert (await client.get("/detail", headers={"If-Modified-Since": since})).status_code == 200
        other_tag = {"If-None-Match": '"other"', **same}  # goes first
        assert (await client.get("/detail", headers=other_tag)).status_code == 200


async def test_files_have_their_own(project: Project) -> None:
    async with project.client() as client:
        first = await client.get("/static/app.css")
        again = await client.get("/static/app.css", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304


def test_tags_are_compared_weakly() -> None:
    tag = tag_of_body(b"page nonce", "nonce")
    assert tag == tag_of_body(b"page ")
    assert has(f'"a", {tag}', tag)
    assert has(tag.removeprefix("W/"), tag)
    assert not has('"a"', tag)
    assert not has("", tag)
