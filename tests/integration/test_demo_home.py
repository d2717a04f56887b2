from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.database.migrations import migrate
from tests.services.demo import demo, seed
from tests.services.ops_project import BROWSER


async def test_the_home_page_follows_the_projects_progress(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    async with demo(url, tmp_path, seeded=False) as project, project.client() as client:
        empty = await client.get("/", headers=BROWSER)
        await migrate.upgrade(project.runtime.database)
        tables = await client.get("/", headers=BROWSER)
        await seed(project)
        ready = await client.get("/", headers=BROWSER)
        async with project.signed_in() as superuser:
            own = await superuser.get("/", headers=BROWSER)

    assert (empty.status_code, tables.status_code, ready.status_code) == (200, 200, 200)
    assert "Tables are missing." in empty.text
    assert "Make the first superuser" in tables.text
    assert "8 products and 13 registrants." in ready.text
    assert "admin123" not in ready.text
    assert "/webinar-registrants" not in ready.text
    assert "/webinar-registrants" in own.text
    assert "startapp" in own.text


async def test_the_home_page_stays_up_without_a_database(tmp_path: Path) -> None:
    url = "postgresql://user:secret-password@127.0.0.1:1/nothing"
    async with demo(url, tmp_path, seeded=False) as project, project.client() as client:
        page = await client.get("/", headers=BROWSER)

    assert page.status_code == 200
    assert "The database does not answer" in page.text
    assert 'hx-trigger="every 5s"' in page.text
    assert "secret-password" not in page.text


@pytest.mark.parametrize("path", ["/license"])
async def test_the_licence_is_the_projects(tmp_path: Path, path: str) -> None:
    url = f"sqlite:///{tmp_path / 'demo.db'}"
    async with demo(url, tmp_path, seeded=False) as project, project.client() as client:
        page = await client.get(path, headers=BROWSER)

    assert page.status_code == 200
    assert "MIT License" in page.text
