"""Health, debugging and triggers over HTTP, on SQLite and on PostgreSQL with both drivers."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import event

from fastopp.features.accounts.models import User
from fastopp.features.health import probes as checks
from fastopp.testing import ManualClock
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, BROWSER, HTMX, LOOPBACK, PRODUCTION, running

DEBUG_PATHS = ["leapcell", "database", "database-data", "settings", "connection"]


url = url_on("sqlite", "psycopg", *only_full("asyncpg"))


@pytest.fixture
async def black_hole():
    """The address of a database server that takes connections and never says a word."""
    release = asyncio.Event()

    async def swallow(reader, writer):
        await release.wait()
        writer.close()

    server = await asyncio.start_server(swallow, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    yield f"postgresql://someone:a-secret@{LOOPBACK}:{port}/things?sslmode=disable"
    release.set()
    server.close()
    await server.wait_closed()


async def test_a_project_comes_to_life_by_one_call(url, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "SHARED_FOR", 3600.0)
    async with running(url, tmp_path, apps=["demo.users"]) as project, project.client() as client:
        before = await client.get("/health")
        assert before.status_code == 503
        assert before.json()["checks"]["database"]["status"] == "healthy"
        assert before.json()["checks"]["migrations"]["status"] == "unhealthy"

        done = await client.post("/async/init-demo", headers=BEARER)
        assert done.status_code == 200, done.text
        answer = done.json()
        assert answer["status"] == "success"
        assert answer["details"]["database_initialized"]
        assert answer["details"]["superuser_created"]
        assert answer["details"]["superuser_email"] == "admin@example.com"
        assert "superuser_password" not in answer["details"]
        assert "admin123" not in done.text

        again = (await client.post("/async/init-demo", headers=BEARER)).json()
        assert again["status"] == "success"
        assert not again["details"]["superuser_created"]
        assert len(await project.all(User)) == 8
        assert (await client.get("/health")).json() == before.json()  # shared with everyone, but not with operators
        assert (await client.get("/health", headers=BEARER)).status_code == 200

    async with running(url, tmp_path) as project, project.client() as client:
        health = await client.get("/health")
        assert health.status_code == 200, health.text
        assert health.json()["status"] == "healthy"
        assert health.json()["platform"] == "local"
        assert set(health.json()["checks"]) == {"database", "migrations", "storage"}
        migrations = health.json()["checks"]["migrations"]
        assert migrations["current"] == migrations["head"]
        available = await client.get("/health/database")
        assert available.status_code == 200
        assert set(available.json()) == {"available", "database_url", "database_type", "error"}
        assert available.json()["available"]

        answers = {path: await client.get(f"/debug/{path}", headers=BEARER) for path in DEBUG_PATHS}
        assert {answer.status_code for answer in answers.values()} == {200}
        everything = "".join(answer.text for answer in answers.values()) + health.text + available.text
        for secret in ("p%40ss", "p@ss", "$argon2", "hashed_password", BEARER["Authorization"][7:]):
            assert secret not in everything
        data = answers["database-data"].json()
        assert set(data) == {"tables_found", "table_counts", "sample_users", "total_tables"}
        assert data["table_counts"]["users"] == 8
        assert data["total_tables"] == len(data["tables_found"])
        database = answers["database"].json()
        assert database["database_exists"]
        assert database["database_writable"]
        assert database["database_size_bytes"] > 0
        assert answers["connection"].json()["pool_status"]["size"] == 10  # the pool and its overflow
        assert answers["leapcell"].json()["platform"] == "local"
        assert answers["leapcell"].json()["object_storage_enabled"] is False


async def test_debugging_is_for_operators(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path) as project:
        async with project.client() as client:
            for path in DEBUG_PATHS:
                assert (await client.get(f"/debug/{path}")).status_code == 401
            assert (await client.post("/async/init-demo")).status_code == 401
            assert (await client.post("/oppdemo/init")).status_code == 401
            assert (await client.get("/async/init-demo", headers=BEARER)).status_code == 405
            simple = await client.get("/debug/simple")
            assert simple.json()["status"] == "working"
            robots = await client.get("/robots.txt")
            assert "Disallow: /debug/" in robots.text
        async with project.client(LOOPBACK) as client:
            assert (await client.get("/debug/leapcell")).status_code == 200


@pytest.mark.parametrize("email", ["admin@example.com", "staff@example.com"])
async def test_a_developer_who_is_signed_in_is_shown_as_such(url, tmp_path, email):
    """On the developer's own machine the pages of operators ask for no account, and show the one that is there."""
    async with running(url, tmp_path, apps=["demo.users"]) as project, project.client(LOOPBACK) as developer:
        await developer.post("/async/init-demo")
        before = (await developer.get("/oppman/errors", headers=BROWSER)).text
        password = "admin123" if email.startswith("admin") else "test123"
        assert (await developer.post("/login", data={"username": email, "password": password})).status_code == 302
        after = (await developer.get("/oppman/errors", headers=BROWSER)).text
        assert email not in before
        assert email in after


async def test_a_generated_password_is_told_once(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, PRODUCTION) as project, project.client() as client:
        first = (await client.post("/async/init-demo", headers=BEARER)).json()
        password = first["details"]["superuser_password"]
        assert "superuser_password" not in (await client.post("/async/init-demo", headers=BEARER)).json()["details"]
        signed_in = await client.post("/login", data={"username": "admin@example.com", "password": password})
        assert signed_in.status_code == 302


async def test_a_stampede_costs_one_query(url, tmp_path):
    clock = ManualClock()  # its time stands still: 50 answers may take longer than one is good for
    async with running(url, tmp_path, clock=clock) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        asked = []
        engine = project.runtime.database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
        answers = await asyncio.gather(*(client.get("/health") for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert len([statement for statement in asked if statement.startswith("SELECT 1")]) == 1


async def test_a_dead_database_is_said_quickly_and_without_details(tmp_path):
    url = "postgresql://someone:a-secret@127.0.0.1:1/things"
    async with running(url, tmp_path) as project, project.client() as client:
        assert (await client.get("/kaithhealth")).status_code == 200
        health = await client.get("/health")
        assert health.status_code == 503
        assert health.json()["checks"]["storage"]["status"] == "healthy"
        database = await client.get("/health/database")
        assert database.status_code == 503
        assert database.json()["available"] is False
        connection = await client.get("/debug/connection", headers=BEARER)
        assert connection.status_code == 503
        assert connection.json()["status"] == "error"
        data = await client.get("/debug/database-data", headers=BEARER)
        assert data.status_code == 503
        page = await client.get("/database-status", headers=BROWSER)
        assert page.status_code == 200
        assert "every 5s" in page.text
        started = await client.post("/async/init-demo", headers=BEARER)
        assert started.status_code == 500
        assert started.json()["status"] == "error"
        for answer in (health, database, connection, data, page, started):
            for secret in ("a-secret", "someone:", "refused", "psycopg"):
                assert secret not in answer.text.replace("postgresql://someone:***", ""), answer.url


async def test_a_silent_database_does_not_hang_anything(black_hole, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "TIME_LIMIT", 0.2)
    async with running(black_hole, tmp_path) as project, project.client() as client:
        health = await client.get("/health")
        assert health.status_code == 503
        assert health.json()["checks"]["database"]["error"] == "No answer within 0.2 seconds."
        page = await client.get("/database-status", headers=BROWSER)
        assert page.status_code == 200
        # Another one fails while the first checks' connection is given up.
        assert (await client.get("/health/database")).status_code == 503


async def test_the_status_page_has_details_for_superusers_only(url, tmp_path):
    async with running(url, tmp_path) as project:
        async with project.client() as client:
            await client.post("/async/init-demo", headers=BEARER)
            page = await client.get("/database-status", headers=BROWSER)
            assert page.status_code == 200
            assert "Pool size" not in page.text
            assert str(tmp_path) not in page.text
        async with project.signed_in() as client:
            page = await client.get("/database-status", headers=BROWSER)
            assert "Pool size" in page.text
            fragment = await client.get("/database-status", headers=HTMX)
            assert "<html" not in fragment.text


async def test_liveness_is_in_the_documentation(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path) as project, project.client() as client:
        paths = json.loads((await client.get("/openapi.json")).text)["paths"]
        assert {"/health", "/kaithhealth", "/kaithhealthcheck", "/kaithheathcheck", "/healthz"} <= paths.keys()
        assert "/oppman/emergency/verify" not in paths


async def test_a_first_run_behind_a_transaction_pooler(pooler_url, tmp_path):
    environ = PRODUCTION | {"FASTOPP_PLATFORM": "leapcell", "SUPERUSER_EMAIL": "owner@example.com"}
    async with running(pooler_url, tmp_path, environ) as project, project.client() as client:
        # Four at once, as an impatient platform asks: one of them makes the superuser.
        answers = await asyncio.gather(*(client.post("/async/init-demo", headers=BEARER) for _ in range(4)))
        assert [answer.status_code for answer in answers] == [200] * 4, [answer.text for answer in answers]
        passwords = [answer.json()["details"].get("superuser_password") for answer in answers]
        assert len([password for password in passwords if password]) == 1
        assert [user.email for user in await project.all(User)] == ["owner@example.com"]
        health = await client.get("/health")
        assert health.status_code == 200, health.text
        assert health.json()["platform"] == "leapcell"
        where = (await client.get("/debug/leapcell", headers=BEARER)).json()
        assert where["platform"] == "leapcell"
        assert where["capabilities"]["background_cpu"] is False
