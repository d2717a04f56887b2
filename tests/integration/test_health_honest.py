"""/health tells of disks that are full and of databases that cannot be written."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import suppress

import pytest
from sqlalchemy import text

from fastopp.database.session import DatabaseUnavailable
from fastopp.features.health.probes import ProbeFailed, check_sqlite_writable
from fastopp.testing import ManualClock
from tests.services.demo import APPS
from tests.services.ops_project import BEARER, running


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def make_read_only(folder):
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


async def checks(client):
    answer = await client.get("/health")
    found = answer.json()["checks"]
    assert answer.status_code == (200 if all(check["status"] == "healthy" for check in found.values()) else 503)
    return {name: check.get("error") for name, check in found.items()}


async def test_a_full_upload_disk(tmp_path, small_disk):
    environ = {"UPLOAD_DIR": str(small_disk / "uploads"), "TASK_WORKER": "false"}
    url = f"sqlite:///{tmp_path}/test.db"
    clock = ManualClock()
    async with running(url, tmp_path, environ, apps=APPS, clock=clock) as project, project.client() as client:
        assert (await client.post("/async/migrate", headers=BEARER)).status_code == 200
        assert not any((await checks(client)).values())
        fill(small_disk)
        clock.advance(2)  # an answer is good for a second
        found = await checks(client)
        assert "room" in found["storage"]
        assert not found["database"]


async def test_a_full_database_disk(tmp_path, small_disk):
    url, clock = f"sqlite:///{small_disk}/test.db", ManualClock()
    async with running(url, tmp_path, {"TASK_WORKER": "false"}, clock=clock) as project, project.client() as client:
        assert (await client.post("/async/migrate", headers=BEARER)).status_code == 200
        fill(small_disk)
        clock.advance(2)
        assert "full" in (await checks(client))["database"]


async def test_a_read_only_sqlite_file(tmp_path, small_disk):
    """A disk that has become read-only, as after an error."""
    async with running(f"sqlite:///{small_disk}/test.db", tmp_path, {"TASK_WORKER": "false"}) as project:
        async with project.client() as client:
            assert (await client.post("/async/migrate", headers=BEARER)).status_code == 200
        await project.runtime.database.dispose()
    make_read_only(small_disk)
    url = f"sqlite:///{small_disk}/test.db"
    async with running(url, tmp_path, {"TASK_WORKER": "false"}) as project, project.client() as client:
        assert (await checks(client))["database"]
        queued = await client.post("/async/clean-up?enqueue=1", headers=BEARER)
        assert queued.status_code == 503, queued.text
        assert "database" in queued.json()["detail"]
        with pytest.raises(DatabaseUnavailable):
            await project.runtime.tasks.queue("clean-up")


def test_another_writer_is_no_fault(tmp_path):
    path = tmp_path / "test.db"
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("BEGIN IMMEDIATE")
        check_sqlite_writable(path)
        writer.execute("ROLLBACK")
    with pytest.raises(ProbeFailed):
        check_sqlite_writable(tmp_path / "missing" / "test.db")


async def test_a_read_only_postgresql(tmp_path, postgres, postgres_database, postgres_url):
    async with running(postgres_url, tmp_path, {"TASK_WORKER": "false"}) as project:
        async with project.client() as client:
            assert (await client.post("/async/migrate", headers=BEARER)).status_code == 200
            assert not any((await checks(client)).values())
        async with project.runtime.database.transaction() as session:
            await session.exec(text(f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = on"))
    async with running(postgres_url, tmp_path, {"TASK_WORKER": "false"}) as project, project.client() as client:
        assert "read-only" in (await checks(client))["database"]
        queued = await client.post("/async/clean-up?enqueue=1", headers=BEARER)
        assert queued.status_code == 503
        assert "read-only" in queued.json()["detail"]
