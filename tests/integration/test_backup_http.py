"""Backup and restore over HTTP: who may, what is answered, and the card on the Oppman page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fastopp.features.accounts.models import AuditLog
from fastopp.features.files import file_jobs
from fastopp.features.files.file_jobs import run_job
from tests.services.ops_project import BEARER, BROWSER, HTMX, PRODUCTION, Project, running
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy

PATHS = ["/admin/backup-files", "/admin/restore-files"]


def environ(endpoint: str, bucket: str) -> dict[str, str]:
    return {
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": endpoint,
    }


@pytest.fixture
def bucket(rclone: RcloneServer) -> str:
    return rclone.create_bucket()


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    for number in range(5):
        path = folder / "photos" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(number))
    return folder


@pytest.fixture
async def project(rclone: RcloneServer, bucket: str, uploads: Path, tmp_path: Path) -> AsyncIterator[Project]:
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, environ(rclone.endpoint, bucket)) as project:
        yield project


async def test_a_backup_and_a_restore(project: Project, bucket: str, uploads: Path) -> None:
    async with project.client() as client:
        done = await client.post("/admin/backup-files", headers=BEARER)
        assert done.status_code == 200, done.text
        answer = done.json()
        assert (answer["status"], answer["bucket"]) == ("success", bucket)
        assert (answer["files_count"], answer["copied"], answer["skipped"], answer["bytes"]) == (5, 5, 0, 10)
        assert (answer["failed"], answer["left_out"]) == ([], [])
        assert answer["seconds"] > 0
        assert answer["message"]
        assert done.headers["cache-control"] == "no-store"

        again = (await client.post("/admin/backup-files", headers=BEARER)).json()
        assert (again["files_count"], again["copied"], again["skipped"]) == (5, 0, 5)

        (uploads / "photos" / "3.jpg").unlink()
        done = await client.post("/admin/restore-files", headers=BEARER)
        assert done.status_code == 200
        assert (done.json()["files_count"], done.json()["copied"]) == (5, 1)
    assert (uploads / "photos" / "3.jpg").read_bytes() == bytes(3)


async def test_strangers_may_not(rclone: RcloneServer, bucket: str, uploads: Path, tmp_path: Path) -> None:
    own = environ(rclone.endpoint, bucket) | PRODUCTION
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, own) as project, project.client() as client:
        for path in PATHS:
            assert (await client.post(path)).status_code in (401, 403)
        for job in ("backup", "restore", "verify"):
            assert (await client.post(f"/oppman/files/{job}")).status_code in (401, 403)
        assert (await client.get("/oppman/files")).status_code == 401
    assert not any(rclone.bucket(bucket).iterdir())


async def test_without_object_storage(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path) as project, project.client() as client:
        for path in PATHS:
            done = await client.post(path, headers=BEARER)
            assert done.status_code == 409
            assert (done.json()["status"], done.json()["files_count"]) == ("error", 0)
            for variable in ("S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET"):
                assert variable in done.json()["message"]


async def test_a_wrong_bucket(rclone: RcloneServer, uploads: Path, tmp_path: Path) -> None:
    own = environ(rclone.endpoint, "not-there")
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, own) as project, project.client() as client:
        done = await client.post("/admin/backup-files", headers=BEARER)
        assert done.status_code == 500
        assert done.json()["status"] == "error"
        assert "S3_BUCKET" in done.json()["message"]
        assert SECRET_KEY not in done.text


async def test_what_fails_is_listed_and_done_by_the_next_run(
    rclone: RcloneServer, bucket: str, uploads: Path, tmp_path: Path
) -> None:
    with FaultProxy(rclone) as proxy:
        own = environ(proxy.endpoint, bucket)
        async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, own) as project, project.client() as client:
            proxy.faults = [Fault("PUT", times=2, refuse=(403, "QuotaExceeded"))]
            done = await client.post("/admin/backup-files", headers=BEARER)
            assert done.status_code == 502, done.text
            answer = done.json()
            assert answer["status"] == "error"
            assert answer["failed"]
            assert all(entry["key"] and entry["reason"] for entry in answer["failed"])
            missing = 5 - answer["copied"]
            done = await client.post("/admin/backup-files", headers=BEARER)
            assert (done.status_code, done.json()["copied"]) == (200, missing)


async def test_the_time_of_a_request_is_up(
    rclone: RcloneServer, bucket: str, uploads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets = [2.0, 60.0]  # seconds, of the first run and of the second

    def run_in_time(*args: Any, **options: Any) -> Any:
        return run_job(*args, **options | {"budget": budgets.pop(0)})

    monkeypatch.setattr(file_jobs, "run_job", run_in_time)
    with FaultProxy(rclone) as proxy:
        own = environ(proxy.endpoint, bucket)
        async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, own) as project, project.client() as client:
            proxy.faults = [Fault("PUT", times=1, delay=20)]
            done = await client.post("/admin/backup-files", headers=BEARER)
            assert done.status_code == 200, done.text
            answer = done.json()
            assert (answer["status"], answer["copied"], answer["failed"]) == ("partial", 4, [])
            assert "run it again" in answer["message"]
            assert answer["seconds"] < 20
            rest = (await client.post("/admin/backup-files", headers=BEARER)).json()
            assert (rest["status"], rest["copied"], rest["skipped"]) == ("success", 1, 4)


async def test_one_at_a_time(rclone: RcloneServer, bucket: str, uploads: Path, tmp_path: Path) -> None:
    with FaultProxy(rclone) as proxy:
        own = environ(proxy.endpoint, bucket)
        async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, own) as project, project.client() as client:
            proxy.faults = [Fault("GET", times=1, delay=1)]
            first = asyncio.create_task(client.post("/admin/backup-files", headers=BEARER))
            while not proxy.asked("GET") and not first.done():  # noqa: ASYNC110 - the proxy is in a thread
                await asyncio.sleep(0.01)
            second = await client.post("/admin/restore-files", headers=BEARER)
            assert second.status_code == 409
            assert "is already running" in second.json()["message"]
            assert (await first).status_code == 200


async def test_the_card(project: Project, uploads: Path) -> None:
    async with project.client() as client:
        assert (await client.post("/async/init-demo", headers=BEARER)).status_code == 200
    async with project.signed_in() as browser:
        page = await browser.get("/oppman/", headers=BROWSER)
        for job in ("backup", "verify", "restore"):
            assert f'action="/oppman/files/{job}"' in page.text
        state = await browser.get("/oppman/files", headers=HTMX)
        assert state.status_code == 200
        assert "Files in the folder" in state.text

        different = await browser.post("/oppman/files/verify", headers=HTMX)
        assert different.status_code == 200
        assert "not in the Object Storage  photos/1.jpg" in different.text
        done = await browser.post("/oppman/files/backup", headers=HTMX)
        assert done.status_code == 200
        assert done.headers["hx-trigger"] == "files-changed"
        assert "5 files backed up" in done.text
        same = await browser.post("/oppman/files/verify", headers=BROWSER)  # without JavaScript
        assert same.status_code == 200
        assert "Both sides are the same" in same.text
        state = await browser.get("/oppman/files", headers=HTMX)
        assert "5 files backed up" in state.text
        assert "Both sides are the same" in state.text
        facts = (await browser.get("/oppman/files", headers={"Accept": "application/json"})).json()
        assert (facts["files"], facts["bytes"], facts["running"]) == (5, 10, None)
    records = [row for row in await project.all(AuditLog) if row.model_name == "files"]
    assert [record.action for record in records] == ["backup"]
