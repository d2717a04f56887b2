from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select
from sqlmodel import SQLModel

from demo.products.models import Product
from fastopp.database import counting
from fastopp.database.counting import Count, count_matching, count_table, estimate_rows
from fastopp.database.keyset import Key, reversed_order, rows_after
from fastopp.database.session import Database
from tests.services.databases import url_on
from tests.services.demo import APPS, seeded_demo
from tests.services.ops_project import BROWSER, Project, running, settings_of

url = url_on("sqlite", "psycopg", fill=seeded_demo)

METADATA = MetaData()
ROWS = Table(
    "keyset_rows", METADATA, Column("id", Integer, primary_key=True), Column("word", String), Column("size", Integer)
)
VALUES = [
    {"id": number, "word": word, "size": number % 3}
    for number, word in enumerate(["b", None, "a", "c", None, "a", "b", "c", "a"])
]


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    made = Database.from_settings(settings_of(url, tmp_path))
    async with made.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        await connection.execute(insert(ROWS), VALUES)
    yield made
    await made.dispose()


async def test_pages_after_each_row_make_the_whole_list_in_both_directions(database: Database) -> None:
    c = ROWS.c
    orders = [
        [Key(c.size), Key(c.id)],
        [Key(c.size, descending=True), Key(c.id, descending=True)],
        [Key(c.size, descending=True), Key(c.id)],
        [Key(c.word, nullable=True), Key(c.id)],
        [Key(c.word, nullable=True, descending=True), Key(c.id)],
        [Key(c.word, nullable=True, nulls_last=False), Key(c.size, descending=True), Key(c.id)],
    ]
    async with database.autocommit() as connection:
        for keys in orders:
            query = select(*(key.expression for key in keys)).order_by(*(key.order() for key in keys))
            whole = (await connection.execute(query)).all()
            assert len(whole) == len(VALUES)
            for number, row in enumerate(whole):
                after = (await connection.execute(query.where(rows_after(keys, row)))).all()
                assert after == whole[number + 1 :], (keys, row)
                back = reversed_order(keys)
                before = query.order_by(None).order_by(*(key.order() for key in back)).where(rows_after(back, row))
                assert (await connection.execute(before)).all() == whole[:number][::-1], (keys, row)


async def test_counts_are_exact_up_to_a_limit(database: Database) -> None:
    async with database.read() as session:
        assert await count_matching(session, select(ROWS.c.id)) == Count(9)
        assert await count_matching(session, select(ROWS.c.id), limit=9) == Count(9)
        assert await count_matching(session, select(ROWS.c.id), limit=8) == Count(8, "more than")
        assert await count_table(session, ROWS) == Count(9)
        estimated = await count_table(session, ROWS, limit=5)
    if database.engine.dialect.name == "sqlite":
        assert estimated == Count(9, "about")
    else:
        assert estimated == Count(5, "more than"), "nobody has analysed it"
        async with database.autocommit() as connection:
            await connection.exec_driver_sql("ANALYZE keyset_rows")
        async with database.read() as session:
            assert await estimate_rows(session, ROWS) == 9


def test_a_count_is_read_by_people() -> None:
    assert [str(Count(12)), str(Count(10_000, "more than")), f"{Count(1_000_000, 'about'):,}"] == [
        "12", "more than 10000", "about 1,000,000",
    ]  # fmt: skip
    assert not Count(0)
    assert Count(1)


@pytest.fixture
async def large(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Project]:
    """A demo for which 200 rows are many."""
    for module in ("demo.products.repository", "demo.products.service", "fastopp.web.paging",
                   "fastopp.features.admin.long_lists"):  # fmt: skip
        for name in ("EXACT_UP_TO", "NUMBERED_UP_TO"):
            monkeypatch.setattr(f"{module}.{name}", 200, raising=False)
    monkeypatch.setattr("demo.products.repository.SAMPLE", 150)
    monkeypatch.setattr(counting.count_matching, "__kwdefaults__", {"limit": 200})
    monkeypatch.setattr(counting.count_table, "__kwdefaults__", {"limit": 200})
    async with running(url, tmp_path, apps=APPS) as project:
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        rows = [
            Product(name=f"Thing {number:03}", price=number % 50, category=f"C{number % 4}" if number % 9 else None,
                    in_stock=number % 5 != 0, created_at=begin + timedelta(hours=number % 60))
            for number in range(500)
        ]  # fmt: skip
        async with project.runtime.database.transaction() as session:
            session.add_all(rows)
        async with project.runtime.database.engine.begin() as connection:
            await connection.exec_driver_sql("ANALYZE")
        yield project


@pytest.mark.parametrize("sort", ["name", "-price", "category", "-category", "-in_stock", "created_at"])
async def test_every_product_is_on_one_page_of_a_long_list(large: Project, sort: str) -> None:
    seen: list[str] = []
    async with large.client() as client:
        query: dict[str, Any] = {"sort": sort, "per_page": 100}
        first = (await client.get("/api/products", params=query)).json()
        assert first["estimated"] is True
        assert 400 <= first["stats"]["total_products"] <= 620
        assert (first["stats"]["min_price"], first["stats"]["max_price"]) == (0, 2499.99)
        while True:
            answer = (await client.get("/api/products", params=query)).json()
            seen += [product["id"] for product in answer["products"]]
            if answer["next_after"] is None:
                break
            query["after"] = answer["next_after"]
    assert len(seen) == len(set(seen)) == 508
    async with large.runtime.database.read() as session:
        table = SQLModel.metadata.tables["products"]
        assert {uuid.UUID(each) for each in seen} == set((await session.exec(select(table.c.id))).scalars())


async def test_numbers_lead_to_pages_up_to_a_limit_and_rows_beyond(large: Project) -> None:
    async with large.client() as client:
        page = await client.get("/database-demo?page=20", headers=BROWSER)
        link = _next(page.text)
        assert "page=21&after=" in link
        following = await client.get(f"/database-demo{link}", headers=BROWSER)
        assert following.status_code == 200
        back = re.findall(r'href="([^"]*)"[^>]*aria-label="Previous page"', following.text)[0].replace("&amp;", "&")
        assert back.startswith("?page=20"), "a page that has a number is named by it"
        further = await client.get(f"/database-demo{_next(following.text)}", headers=BROWSER)
        back = re.findall(r'href="([^"]*)"[^>]*aria-label="Previous page"', further.text)[0].replace("&amp;", "&")
        again = await client.get(f"/database-demo{back}", headers=BROWSER)
        assert _names(again.text) == _names(following.text)
        too_far = await client.get("/api/products?per_page=50&page=5")
        assert too_far.status_code == 400
        assert "after" in too_far.text
        gone = await client.get(f"/api/products?after={uuid.uuid4()}")
        assert gone.status_code == 404


async def test_the_admin_pages_through_a_long_list(large: Project) -> None:
    for order in ("", "&sortBy=category&sort=desc", "&sortBy=price&sort=asc"):
        seen: list[str] = []
        async with large.signed_in() as client:
            address = f"/admin/product/list?pageSize=100{order}"
            for _ in range(8):
                page = await client.get(address, headers=BROWSER)
                assert page.status_code == 200, page.text
                assert re.search(r"of (about|more than) \d+ items", page.text)
                seen += re.findall(r'<input type="hidden" value="([^"]+)">', page.text)
                links = re.findall(r'<a class="page-link" href="([^"]+)">\s*next', page.text)
                if not links or links[0] == "#":
                    break
                address = links[0].replace("&amp;", "&")
        assert len(seen) == len(set(seen)) == 508, order


async def test_a_short_list_of_the_admin_stays_as_it_was(url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, apps=APPS) as project, project.signed_in() as client:
        page = await client.get("/admin/product/list", headers=BROWSER)
        assert "Showing 1 to 8 of 8 items" in page.text
        beyond = await client.get("/admin/product/list?page=7", headers=BROWSER)
        assert (beyond.status_code, "page=1" in beyond.headers["location"]) == (302, True)


def _next(text: str) -> str:
    return re.findall(r'href="([^"]*)"[^>]*aria-label="Next page"', text)[0].replace("&amp;", "&")


def _names(text: str) -> list[str]:
    names = re.findall(r'<p class="font-medium">(Thing \d+)</p>', text)
    assert all(first <= second for first, second in pairwise(names))
    return names
