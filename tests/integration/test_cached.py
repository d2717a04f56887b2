"""`@cached` in an application: values, pages, and what invalidates them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp import cached
from fastopp.cache.current import Current, current_cache
from fastopp.cache.errors import NotCacheable
from fastopp.cache.front import LIFETIME
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.cache_app.routes import Offer, calls, double, list_names, offer
from tests.services.databases import url_on
from tests.services.ops_project import BROWSER, HTMX, Project, initialised, running

url = url_on("sqlite", *only_full("psycopg"), fill=initialised)
APPS = ["demo.users", "demo.products", "tests.services.cache_app"]
NONCE = re.compile(r'nonce="([^"]+)"')


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Project]:
    calls.clear()
    # Figures are written at moments of their own, through connections that a test may take away.
    environ = {"LANGUAGES": "en, de", "MONITOR": "false"}
    async with running(url, tmp_path, environ, apps=APPS, clock=clock) as started:
        yield started


@each_database
async def test_a_change_of_a_row_invalidates_after_its_commit(project: Project) -> None:
    async with project.client() as client:
        assert (await client.get("/names")).json() == []
        assert (await client.get("/names")).json() == []
        assert calls["names"] == 1

        assert (await client.post("/products?name=Lamp&refuse=true")).status_code == 400
        assert calls["names"] == 2  # in the transaction: neither from the cache nor kept
        assert (await client.get("/names")).json() == []
        assert calls["names"] == 2  # rolled back: nothing was invalidated

        assert (await client.post("/products?name=Lamp")).json() == ["Lamp"]
        assert (await client.get("/names")).json() == ["Lamp"]
        assert calls["names"] == 4
        await client.post("/savepoint")
        assert (await client.get("/names")).json() == ["Lamp", "Nested"]
        await client.post("/empty")  # one statement, without rows
        assert (await client.get("/names")).json() == []


@each_database
async def test_a_change_in_the_admin_panel_invalidates(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        session.add(product := Product(name="Lamp", price=1))
    async with project.signed_in() as admin, project.client() as client:
        assert (await client.get("/names")).json() == ["Lamp"]
        form = {"name": "Chair", "price": "2", "in_stock": "y", "csrf_token": admin.headers["X-CSRF-Token"]}
        answer = await admin.post(f"/admin/product/edit/{product.id}", data=form)
        assert answer.status_code == 302, answer.text
        assert (await client.get("/names")).json() == ["Chair"]


async def test_another_instance_follows_within_a_second(
    project: Project, url: str, tmp_path: Path, clock: ManualClock
) -> None:
    async with (
        running(url, tmp_path, {"LANGUAGES": "en, de"}, apps=APPS, clock=clock) as other,
        project.client() as here,
        other.client() as there,
    ):
        await here.get("/names")
        await there.get("/names")
        assert calls["names"] == 1
        await there.post("/products?name=Lamp")
        assert (await here.get("/names")).json() == []
        clock.advance(LIFETIME)
        assert (await here.get("/names")).json() == ["Lamp"]


async def test_transactions_that_invalidate_in_another_order_do_not_wait_for_each_other(project: Project) -> None:
    from fastopp import invalidate_tags

    async def change(*tags: str) -> None:
        async with project.runtime.database.transaction() as session:
            for tag in tags:
                invalidate_tags(session, tag)

    await asyncio.gather(*(change(*order) for order in (("a", "b", "c"), ("c", "b", "a")) * 5))


async def test_a_tag_takes_in_an_argument(project: Project) -> None:
    async with project.client() as client:
        first = (await client.get("/offer?name=lamp")).json()
        await client.get("/offer?name=chair")
        await client.get("/offer?name=lamp")
        assert calls["offer"] == 2
        await client.post("/by-hand?name=lamp")
        assert calls["offer"] == 2  # the request read it from the cache
        assert (await client.get("/offer?name=chair")).status_code == 200
        assert calls["offer"] == 2
        assert (await client.get("/offer?name=lamp")).json() == first
        assert calls["offer"] == 3
        assert (await client.get("/too-early")).status_code == 500
        assert (await client.post("/clear")).json() == {"removed": 2}


class Colour(Enum):
    RED = 1


async def test_values_and_keys_keep_their_types(project: Project) -> None:
    current_cache.set(Current(project.runtime.shared_cache))
    first, second = await offer("lamp"), await offer("lamp")
    assert type(second) is Offer
    assert first == second
    assert first.until == datetime(2030, 1, 1, tzinfo=UTC)
    alike = (1, True, "1", 1.5, None, b"1", Colour.RED, [1], (1,), {1}, {"a": 1}, UUID(int=1), str(UUID(int=1)))
    for value in alike:
        with pytest.raises(NotCacheable) if isinstance(value, bytes | set | UUID | Enum) else nullcontext():
            await double(value)
    ran = calls["double"]
    assert ran == len(alike)
    for value in (1, True, "1", 1.5, None):
        assert await double(value) == [value, value]
    assert calls["double"] == ran
    assert await double((1,)) == [[1], [1]]  # as JSON has it, also the first time
    with pytest.raises(NotCacheable, match="arguments is of the type object"):
        await double(object())
    current_cache.set(None)


async def test_texts_and_bytes_come_back_as_they_were(project: Project) -> None:
    current_cache.set(Current(project.runtime.shared_cache))

    @cached(60)
    async def make(value: object) -> object:
        return value

    for value in ("ä", b"\x00\xff", ""):
        assert await make(value) == await make(value) == value
    current_cache.set(None)


async def test_outside_of_an_application_nothing_is_cached() -> None:
    assert await double(1) == [1, 1]


def test_mistakes_are_found_where_they_are_written() -> None:
    with pytest.raises(NotCacheable, match="not async"):
        cached(60)(lambda: 1)  # type: ignore[arg-type,return-value] # the mistake
    with pytest.raises(NotCacheable, match="no request"):
        cached(60, vary=["Accept"])(list_names)
    with pytest.raises(NotCacheable, match="times"):
        cached(0)
    with pytest.raises(NotCacheable, match="characters"):
        cached(60, tags=["x" * 201])


async def test_a_page_is_written_once_and_has_another_nonce_for_each_visitor(project: Project) -> None:
    async with project.client() as client:
        first = await client.get("/list", headers=BROWSER)
        second = await client.get("/list", headers=BROWSER)
        head = await client.head("/list", headers=BROWSER)

    assert calls["page"] == 1
    assert first.headers["cache-status"] == "fastopp; fwd=miss; stored"
    assert second.headers["cache-status"] == "fastopp; hit"
    nonces = [NONCE.search(answer.text)[1] for answer in (first, second)]  # type: ignore[index] # it is there
    assert nonces[0] != nonces[1]
    assert f"'nonce-{nonces[1]}'" in second.headers["content-security-policy"]
    assert NONCE.sub("", first.text) == NONCE.sub("", second.text)
    assert second.headers["cache-control"] == "public, no-cache"
    assert second.headers["vary"] == "Cookie, Accept-Language, X-Colour, Accept-Encoding"
    assert second.headers["content-type"] == "text/html; charset=utf-8"
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["etag"] == first.headers["etag"] == second.headers["etag"]


async def test_a_304_renders_nothing_and_keeps_the_policy_of_the_copy(project: Project) -> None:
    async with project.client() as client:
        tag = (await client.get("/list")).headers["etag"]
        answer = await client.get("/list", headers={"If-None-Match": f'"other", {tag.removeprefix("W/")}'})
        await client.post("/products?name=Lamp")
        changed = await client.get("/list", headers={"If-None-Match": tag})

    assert (answer.status_code, answer.content, calls["page"]) == (304, b"", 2)
    assert answer.headers["cache-control"] == "public, no-cache"
    assert "Accept-Encoding" in answer.headers["vary"]
    assert not {"content-security-policy", "content-length", "content-type"} & set(answer.headers)
    assert changed.status_code == 200


async def test_pages_differ_by_address_language_and_the_named_headers(project: Project) -> None:
    async with project.client() as client:
        texts = [
            (await client.get(address, headers=headers)).text
            for address, headers in (
                ("/list", {}),
                ("/list?utm=1", {}),
                ("/list", {"Accept-Language": "de"}),
                ("/list", {"X-Colour": "red"}),
                ("http://localhost/list", {}),
            )
        ]
        assert calls["page"] == 5
        assert '<html lang="de">' in texts[2]
        await client.get("/list", headers={"X-Other": "red", "Accept-Language": "fr"})
        assert calls["page"] == 5


async def test_personal_and_failed_answers_are_not_kept(project: Project) -> None:
    async with project.client() as client:
        for kind in ("missing", "down", "form", "cookie", "private", "session"):
            for number in (1, 2):
                client.cookies.clear()
                answer = await client.get("/list", params={"fail": kind})
                assert calls["page"] == number, kind
                assert "public" not in answer.headers.get("cache-control", ""), kind
            calls.clear()
        for _ in range(2):
            assert (await client.get("/stream")).content == b"ab"
        assert calls["stream"] == 2
        client.cookies.clear()
        await client.get("/list")
        await client.get("/list", headers=HTMX)  # a part for htmx is no page
        await client.get("/list", headers={"Authorization": "Bearer x"})
        assert calls["page"] == 3


async def test_who_is_signed_in_gets_a_page_of_their_own(project: Project) -> None:
    async with project.signed_in() as admin, project.client() as client:
        await client.get("/list")
        own = await admin.get("/list")
        assert "admin@example.com" in own.text
        assert own.headers["cache-control"] == "no-store"
        assert "Cookie" in own.headers["vary"]
        assert "etag" not in own.headers
        assert "admin@example.com" not in (await client.get("/list")).text
        assert calls["page"] == 2

        assert (await admin.get("/mine")).json() == (await admin.get("/mine")).json() == {"email": "admin@example.com"}
        assert calls["mine"] == 1
        answer = await client.get("/mine")
        assert answer.status_code == 401
        assert "public" not in (await admin.get("/mine")).headers.get("cache-control", "")


async def test_a_page_may_vary_by_htmx_and_have_a_time_for_browsers(project: Project) -> None:
    async with project.client() as client:
        for headers in ({}, HTMX, {}, HTMX):
            answer = await client.get("/for-htmx", headers=headers)
        assert calls["for_htmx"] == 2
        assert answer.headers["cache-control"] == "public, max-age=30"
        assert "HX-Request" in answer.headers["vary"]


async def test_an_answer_without_a_request_is_kept_by_its_arguments(project: Project) -> None:
    async with project.client() as client:
        assert [(await client.get(f"/numbers/{number}?x={number}")).json()["number"] for number in (1, 2, 1)] == [
            1,
            2,
            1,
        ]
        assert calls["numbers"] == 2


async def test_a_stale_page_is_served_while_the_new_one_fails(project: Project, clock: ManualClock) -> None:
    async with project.client() as client:
        await client.get("/list")
        clock.advance(61)
        calls["broken"] = 1
        answer = await client.get("/list")
        assert (answer.status_code, answer.headers["cache-status"]) == (200, "fastopp; hit; detail=stale")
        clock.advance(600)
        assert (await client.get("/list")).status_code == 503


def spoil(folder: Path) -> bool:
    """Make the SQLite file unreadable; False if there is none."""
    files = [*folder.glob("test.db*")]
    for file in files:
        file.unlink()  # an open connection keeps what it has: bytes changed under it would end this process
        file.write_bytes(b"no database" * 1000)
    return bool(files)


async def test_a_page_survives_its_database_for_the_stale_time(
    project: Project, tmp_path: Path, clock: ManualClock
) -> None:
    async with project.client() as client:
        await client.get("/list")
        await project.runtime.database.dispose()
        if not spoil(tmp_path):
            pytest.skip("The database is not a file")
        clock.advance(300)
        answer = await client.get("/list")
        assert (answer.status_code, answer.headers["cache-status"]) == (200, "fastopp; hit; detail=stale")
        clock.advance(400)
        assert (await client.get("/list")).status_code == 503
    assert calls["page"] == 2


async def test_a_reading_session_of_its_own_may_be_given(project: Project) -> None:
    current_cache.set(Current(project.runtime.shared_cache))
    async with project.runtime.database.read() as session:
        assert isinstance(session, AsyncSession)
        assert await list_names(session) == await list_names(session) == []
    assert calls["names"] == 1
    async with project.runtime.database.transaction() as session:
        await list_names(session)
    assert calls["names"] == 2
    current_cache.set(None)


async def test_the_cache_can_be_switched_off(url: str, tmp_path: Path) -> None:
    calls.clear()
    async with running(url, tmp_path, {"CACHE_URL": "off"}, apps=APPS) as project, project.client() as client:
        for _ in range(2):
            assert (await client.get("/list")).status_code == 200
        assert calls["page"] == 2
        assert (await client.post("/products?name=Lamp")).json() == ["Lamp"]
