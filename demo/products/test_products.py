"""Tests of the products demo."""

from httpx import AsyncClient, Client

from demo.products.models import Product
from fastopp.testing import Project, Run


def test_the_dashboard_lists_products(client: Client, project: Project, run: Run) -> None:
    run(project.add(Product(name="Lamp", price=10.5), Product(name="Chair", price=80)))
    page = client.get("/database-demo")
    assert page.status_code == 200
    assert "Lamp" in page.text


async def test_products_can_be_searched(async_client: AsyncClient, project: Project) -> None:
    await project.add(Product(name="Lamp", price=10.5), Product(name="Chair", price=80))
    found = (await async_client.get("/api/products", params={"q": "lamp"})).json()["products"]
    assert [product["name"] for product in found] == ["Lamp"]
