"""docs/caching.md as it is written: its functions are cached, and its routes answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from demo.products.models import Product
from fastopp.cache.current import Current, current_cache
from fastopp.cache.tags import TABLE_TAGS
from tests.services.databases import url_on
from tests.services.ops_project import initialised, running

PAGE = Path(__file__).parents[2] / "docs/caching.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)

url = url_on("sqlite", fill=initialised)


async def test_the_examples_do_what_the_page_says(url: str, tmp_path: Path) -> None:
    names: list[dict[str, Any]] = []
    for block in (each for each in BLOCKS if "table=True" not in each):  # a model would stay in this process
        names.append({"__name__": f"example{len(names)}"})
        exec(compile(block, PAGE.name, "exec"), names[-1])  # the page's own code
    value, tags, page, version = names
    try:
        async with running(url, tmp_path, apps=["demo.users", "demo.products"]) as project:
            for each in (tags, page, version):
                project.app.include_router(each["router"])
            project.app.router.routes.sort(key=lambda route: not getattr(route, "path", "").startswith("/gadgets"))
            current_cache.set(Current(project.runtime.shared_cache))

            async with project.runtime.database.transaction() as session:
                session.add(product := Product(name="Lamp", price=1, category="Home"))
            async with project.runtime.database.read() as session:
                assert await value["count_by_category"](session) == {"Home": 1}
                assert await value["count_by_category"](session, least=2) == {}
            assert await tags["describe"](7) == "Gadget 7"

            async with project.client() as client:
                assert (await client.post("/gadgets/7/touch")).status_code == 200
                assert (await client.post("/gadgets/import")).status_code == 200
                assert (await client.get(f"/gadgets/{uuid4()}")).status_code == 404
                known = await client.get(f"/gadgets/{product.id}", headers={"If-None-Match": "*"})
                assert known.status_code == 304
        assert Product.__table__.info[TABLE_TAGS] == ("products",)  # type: ignore[attr-defined] # SQLModel's
    finally:
        current_cache.set(None)
