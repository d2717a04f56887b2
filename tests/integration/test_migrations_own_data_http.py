"""Migrations over HTTP that would delete data: refused with 409 unless they are allowed to."""

from __future__ import annotations

import pytest

from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.migrations import HEAD, NEXT, add_migration, copy_migrations, execute
from tests.services.ops_project import BEARER, running

url = url_on("sqlite", *only_full("psycopg"))

LOST = ["column notes.body (2 rows)"]


@pytest.fixture
async def project(url, tmp_path, monkeypatch):
    """A project with a pending migration that drops a column with data."""
    monkeypatch.chdir(tmp_path)
    folder = copy_migrations(tmp_path)
    async with running(url, tmp_path) as project:
        async with project.client(headers=BEARER) as client:
            assert (await client.post("/async/init-demo")).status_code == 200
        await execute(
            project.runtime.settings,
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)",
            "INSERT INTO notes VALUES (1, 'one'), (2, 'two')",
        )
        add_migration(folder, NEXT, HEAD, "op.drop_column('notes', 'body')")
        yield project


async def columns(project):
    (row, *_) = await execute(project.runtime.settings, "SELECT * FROM notes")
    return list(row)


async def test_the_triggers(project):
    async with project.client(headers=BEARER) as client:
        for path in ("/async/migrate", "/async/migrate", "/async/init-demo"):
            refused = await client.post(path)
            assert refused.status_code == 409, refused.text
            assert refused.json()["details"]["would_drop"] == LOST
            assert "column notes.body (2 rows)" in refused.json()["message"]
            assert await columns(project) == ["id", "body"]
        for arguments in ({"allow_drop": False}, {"allow_drop": "no"}):
            assert (await client.post("/async/migrate", json=arguments)).status_code == 409
        assert (await client.post("/async/migrate", json={"allow_drop": "perhaps"})).status_code == 422
        allowed = await client.post("/async/migrate", json={"allow_drop": True})
        assert (allowed.status_code, allowed.json()["details"]["applied"]) == (200, [NEXT])
        assert await columns(project) == ["id"]


async def test_the_triggers_without_a_queue(project):
    await execute(project.runtime.settings, "DROP TABLE task_runs")
    async with project.client(headers=BEARER) as client:
        for path in ("/async/migrate", "/async/init-demo"):
            refused = await client.post(path)
            assert (refused.status_code, refused.json()["details"]["would_drop"]) == (409, LOST), refused.text
        assert (await client.post("/async/init-demo", json={"allow_drop": True})).status_code == 422
        allowed = await client.post("/async/migrate", json={"allow_drop": True})
        assert (allowed.status_code, allowed.json()["details"]["applied"]) == (200, [NEXT])


async def test_the_demos_steps(project):
    async with project.client(headers=BEARER) as client:
        for path in ("/oppdemo/db", "/oppdemo/init"):
            refused = await client.post(path)
            assert refused.status_code == 409, refused.text
    assert await columns(project) == ["id", "body"]


async def test_the_page_for_migrations(project):
    async with project.signed_in() as client:
        refused = await client.post("/oppman/migrate", data={"command": "upgrade"})
        assert (refused.status_code, refused.json()["would_drop"]) == (409, LOST), refused.text
        assert await columns(project) == ["id", "body"]
        allowed = await client.post("/oppman/migrate", data={"command": "upgrade", "allow_drop": "true"})
        assert allowed.status_code == 200, allowed.text
        assert await columns(project) == ["id"]
