from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlmodel import delete

from demo.products.models import Product
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.demo import account, demo, seeded_demo
from tests.services.ops_project import BROWSER, HTMX, LOOPBACK, Project

TABLE = HTMX | {"HX-Target": "products"}


url = url_on("sqlite", *only_full("psycopg"), fill=seeded_demo)


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with demo(url, tmp_path, seeded=False) as running:
        yield running


async def test_the_api_has_the_keys_of_0_4_8(project: Project) -> None:
    async with project.client() as client:
        answer = (await client.get("/api/products")).json()

    assert {"products", "categories", "stats", "stock", "database_available"} <= answer.keys()
    product = answer["products"][0]
    assert product.keys() == {"id", "name", "description", "price", "category", "in_stock", "created_at"}
    assert UUID(product["id"])
    assert datetime.fromisoformat(product["created_at"]).tzinfo is not None
    assert len(answer["products"]) == 8
    assert answer["categories"][0] == {"category": "Electronics", "count": 3}
    assert len(answer["categories"]) == 6
    assert answer["stats"] == {"avg_price": 389.41, "min_price": 12.99, "max_price": 2499.99, "total_products": 8}
    assert answer["stock"] == {"total": 8, "in_stock": 7, "out_of_stock": 1}


async def test_an_empty_table_has_zeros(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(Product))
    async with project.client() as client:
        answer = (await client.get("/api/products")).json()
        page = await client.get("/database-demo", headers=BROWSER)

    assert answer["stock"] == {"total": 0, "in_stock": 0, "out_of_stock": 0}
    assert answer["stats"]["avg_price"] == 0
    assert "There are no products yet" in page.text
    assert "sample-data" not in page.text


@each_database
async def test_filters_sorting_and_pages_are_the_databases_work(project: Project) -> None:
    async with project.client() as client:

        async def names(query: str) -> list[str]:
            answer = await client.get(f"/api/products?{query}")
            assert answer.status_code == 200, answer.text
            return [product["name"] for product in answer.json()["products"]]

        assert await names("sort=-price&per_page=2") == ["Laptop 16 Pro", "Noise-cancelling Headphones"]
        assert await names("sort=price&per_page=1&page=8") == ["Laptop 16 Pro"]
        assert await names("sort=price&page=9&per_page=1") == []
        assert await names("in_stock=false") == ["Cork Yoga Mat"]
        assert await names("category=Books") == ["Field Guide to Async Python"]
        assert await names("q=KEYBOARD") == ["Mechanical Keyboard"]
        assert await names("q=quiet") == ["Mechanical Keyboard"]
        assert await names("q=%25") == [], "a wildcard is a character like any other"
        assert await names("q=_") == []
        answer = (await client.get("/api/products?q=o&per_page=3")).json()
        assert answer["matching"] > len(answer["products"]) == 3
        assert answer["stats"]["total_products"] == 8, "figures cover the whole catalogue"


@each_database
async def test_rubbish_is_refused_in_words(tmp_path: Path) -> None:
    shared = [
        "page=0",
        f"page={10**30}",
        "page=x",
        "sort=hashed_password",
        "q=a%00b",
        "category=%00",
        "in_stock=perhaps",
    ]
    addresses = [f"{path}?{query}" for path in ("/api/products", "/database-demo") for query in shared]
    addresses += ["/api/products?per_page=0", "/api/products?per_page=1001", f"/api/products?q={'x' * 101}"]
    async with demo(f"sqlite:///{tmp_path / 'demo.db'}", tmp_path, seeded=False) as project, project.client() as client:
        for address in addresses:
            assert (await client.get(address)).status_code == 422, address


async def test_tables_that_are_missing_are_told(tmp_path: Path) -> None:
    async with demo(f"sqlite:///{tmp_path / 'demo.db'}", tmp_path, seeded=False) as project, project.client() as client:
        answer = await client.get("/api/products")
        page = await client.get("/database-demo", headers=BROWSER)

    assert answer.status_code == page.status_code == 503
    assert "no tables yet" in answer.json()["fallback_message"]
    assert "no tables yet" in page.text


async def test_the_page_works_without_scripts(project: Project) -> None:
    async with project.client() as client:
        page = await client.get("/database-demo?q=&category=&in_stock=true&sort=-price", headers=BROWSER)

    assert page.status_code == 200
    assert 'action="/database-demo" method="get"' in page.text
    assert page.text.index("Laptop 16 Pro") < page.text.index("Mechanical Keyboard")
    assert "Cork Yoga Mat" not in page.text
    assert "<svg" in page.text
    assert '<option value="true" selected>' in page.text


async def test_htmx_gets_the_table_alone_and_its_address(project: Project) -> None:
    async with project.client() as client:
        answer = await client.get("/database-demo?q=mat&category=&in_stock=", headers=TABLE)

    assert answer.headers["HX-Push-Url"] == "/database-demo?q=mat"
    assert "<html" not in answer.text
    assert re.search(r'id="products"', answer.text)
    assert "Cork Yoga Mat" in answer.text


async def test_a_superuser_fills_an_empty_catalogue(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(Product))
    async with project.signed_in(*account("staff")) as staff:
        assert (await staff.post("/database-demo/sample-data")).status_code == 403
    async with project.signed_in() as superuser:
        page = await superuser.get("/database-demo", headers=BROWSER)
        assert 'action="/database-demo/sample-data"' in page.text
        answer = await superuser.post("/database-demo/sample-data")

    assert (answer.status_code, answer.headers["location"]) == (303, "/database-demo")
    assert len(await project.all(Product)) == 8


async def test_what_is_stored_is_shown_as_text(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        session.add(Product(name="<script>alert(1)</script>", price=float("inf"), category='"><b>'))
    async with project.client() as client:
        page = await client.get("/database-demo", headers=BROWSER)
        answer = await client.get("/api/products")

    assert "<script>alert(1)" not in page.text
    assert '"><b>' not in page.text
    assert answer.json()["stats"]["max_price"] is None, "JSON has no infinity"


async def test_a_database_that_is_down_is_told_and_asked_again(tmp_path: Path) -> None:
    url = "postgresql://user:secret-password@127.0.0.1:1/nothing"
    async with demo(url, tmp_path, seeded=False) as project, project.client(LOOPBACK) as client:
        answer = await client.get("/api/products")
        page = await client.get("/database-demo?q=mat", headers=BROWSER)
        table = await client.get("/database-demo", headers=TABLE)

    assert answer.status_code == page.status_code == table.status_code == 503
    assert answer.json()["database_available"] is False
    assert answer.json()["fallback_message"]
    assert answer.json()["products"] == []
    assert "Retry-After" in answer.headers
    assert 'hx-get="/database-demo?q=mat" hx-trigger="every 5s"' in page.text
    assert table.headers["HX-Retarget"] == "#dashboard"
    for text in (answer.text, page.text):
        assert "secret-password" not in text
        assert "127.0.0.1" not in text
