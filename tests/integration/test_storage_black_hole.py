"""An Object Storage that takes every request and answers none: nothing else waits for it."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress

import httpx
import pytest

from fastopp.storage import deadlines
from fastopp.storage.base import StorageUnavailable
from fastopp.storage.object import ObjectStorage
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.restore import restore_files
from tests.gate import only_full
from tests.services.databases import url_on
from tests.services.demo import APPS, picture, registrant, seed
from tests.services.front import BlackHole
from tests.services.ops_project import BEARER, running
from tests.services.s3 import ACCESS_KEY, REGION, SECRET_KEY
from tests.services.s3_faults import Fault, FaultProxy
from tests.services.tasks import until

url = url_on(*only_full("sqlite"), "psycopg")


class Asked(list):
    """The requests that reach the storage, and how many connections to the database are in use then."""

    pool = None

    def __init__(self):
        super().__init__()
        self.in_use = []

    def append(self, request):
        super().append(request)
        self.in_use.append(self.pool.checkedout())


@pytest.fixture
def proxy(rclone):
    with FaultProxy(rclone) as proxy:
        yield proxy


@pytest.fixture
def environ(rclone, proxy):
    return {
        "STORAGE_TYPE": "s3", "S3_ENDPOINT_URL": proxy.endpoint, "S3_BUCKET": rclone.create_bucket(),
        "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_REGION": REGION, "TASK_WORKER": "false",
        "DB_POOL_SIZE": "2", "DB_MAX_OVERFLOW": "3", "MONITOR": "false",
    }  # fmt: skip


@pytest.fixture
async def project(url, tmp_path, environ):
    async with running(url, tmp_path, environ, apps=APPS) as project:
        await seed(project)
        yield project


def fall_silent(project, proxy):
    """From now on the storage answers nothing, and nothing is in the cache."""
    shutil.rmtree(project.runtime.storage.cache.folder)
    proxy.requests = Asked()
    proxy.requests.pool = project.runtime.database.engine.pool
    proxy.faults = [Fault(silent=True, times=10**9)]
    return proxy.requests


async def requests_of(project, client):
    """Every route that touches the storage, as a superuser's request: name, method, path, options."""
    person = await registrant(project, "Amara Okafor")
    other = await registrant(project, "Mei Tanaka")
    photo = {"files": {"photo": ("p.jpg", picture(), "image/jpeg")}}
    announced = {"name": "talk.mp4", "content_type": "video/mp4", "size": 1000}
    upload = (await client.post("/api/uploads", json=announced)).json()
    task = {"headers": BEARER}
    return [
        ("GET", "/debug/settings", {}),
        ("POST", "/oppdemo/debug-storage", {}),
        ("POST", f"/upload-photo/{person.id}", photo),
        ("POST", upload["complete"], {"json": {"ticket": upload["ticket"]}}),
        ("GET", "/static/uploads/photos/00000000000000000000000000000000.jpg", {}),
        ("POST", "/admin/backup-files", {}),
        ("POST", "/admin/restore-files", {}),
        ("POST", "/oppman/files/verify", {}),
        ("POST", "/admin/backup-database", {}),
        ("GET", "/admin/backup-database", {}),
        ("POST", "/admin/restore-database?confirm=RESTORE&key=backups/none.enc&force=true", {}),
        ("POST", "/oppdemo/photos", {}),
        ("POST", "/oppdemo/registrants", {}),
        ("POST", "/oppdemo/init", {}),
        ("POST", "/webinar-registrants/sample-data", {}),
        ("POST", "/async/clean-up", task),
        ("POST", "/async/webinars.check_photos", task),
        ("POST", "/async/backup-files", task),
        ("POST", "/async/restore-files", task),
        ("POST", "/async/backup-database", task),
        ("DELETE", f"/delete-photo/{person.id}", {}),
        ("DELETE", f"/admin/webinar-registrants/delete?pks={other.id}", {}),
    ]


async def test_no_route_holds_a_connection_meanwhile(project, proxy, monkeypatch):
    for name in ("FIRST_BYTE", "UPLOAD", "REMOVAL"):
        monkeypatch.setattr(deadlines, name, 0.5)
    async with project.signed_in() as client, project.client() as stranger:
        calls = await requests_of(project, client)
        asked = fall_silent(project, proxy)
        for method, path, options in calls:
            before = len(asked)
            sender = stranger if "headers" in options else client
            sending = asyncio.create_task(sender.request(method, path, **options))

            async def reached(before=before, sending=sending):
                return len(asked) > before or sending.done()

            with suppress(AssertionError):
                await until(reached, 20)
            assert len(asked) > before, (path, sending)
            assert not any(asked.in_use[before:]), path
            assert asked.pool.checkedout() == 0, path
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            for look_up in [*project.runtime.storage._look_ups.values()]:
                look_up.cancel()  # the next request for the same file would join it


async def test_six_uploads_stop_no_other_page(project, proxy, monkeypatch):
    monkeypatch.setattr(deadlines, "UPLOAD", 12.0)
    person = await registrant(project, "Amara Okafor")
    async with project.signed_in() as client:
        asked = fall_silent(project, proxy)
        photo = {"photo": ("p.jpg", picture(), "image/jpeg")}
        sending = [
            asyncio.create_task(client.post(f"/upload-photo/{person.id}", files=photo, timeout=60)) for _ in range(6)
        ]

        async def under_way():
            return len(asked) >= 6

        await until(under_way, 20)
        assert (await client.get("/")).status_code == 200
        changed = await client.post(f"/update-notes/{person.id}", data={"notes": "written meanwhile"})
        assert changed.status_code == 200, changed.text

        async def noticed():  # an answer is good for a second
            return (await client.get("/health")).status_code == 503

        await until(noticed, 20)
        health = await client.get("/health")
        checks = health.json()["checks"]
        assert checks["database"]["status"] == "healthy"
        assert (checks["storage"]["status"], health.json()["slow"]) == ("unhealthy", ["storage"])
        answers = await asyncio.gather(*sending)
        assert {answer.status_code for answer in answers} == {503}
        assert (await registrant(project, "Amara Okafor")).photo_url == person.photo_url


@pytest.mark.parametrize(("name", "total"), [("photo", 10), *only_full(("upload", 30))])
async def test_a_user_waits_no_longer_than_this(project, proxy, name, total):
    person = await registrant(project, "Amara Okafor")
    async with project.signed_in() as client:
        fall_silent(project, proxy)
        began = time.monotonic()
        if name == "upload":
            photo = {"photo": ("p.jpg", picture(), "image/jpeg")}
            answer = await client.post(f"/upload-photo/{person.id}", files=photo, timeout=60)
        else:
            answer = await client.get(f"/static/uploads/photos/{'0' * 32}.jpg", timeout=60)
        assert answer.status_code == 503, answer.text
        assert time.monotonic() - began < total + 2


async def test_the_home_page_does_not_wait_for_a_database_that_hangs(tmp_path):
    with BlackHole() as silent:
        url = f"postgresql://user:password@127.0.0.1:{silent.port}/nothing?sslmode=disable"
        for apps in (APPS, ()):
            async with running(url, tmp_path, {"TASK_WORKER": "false"}, apps=apps) as project:
                async with project.client() as client:
                    began = time.monotonic()
                    answer = await client.get("/", timeout=httpx.Timeout(30))
                    assert time.monotonic() - began < 2.5
                assert answer.status_code == 200
                assert "does not answer" in answer.text


@pytest.fixture
def bucket(rclone, proxy):
    return ObjectStorage(
        rclone.create_bucket(), endpoint=proxy.endpoint, region=REGION, access_key=ACCESS_KEY, secret_key=SECRET_KEY
    )


@pytest.mark.parametrize("answered", [6, *only_full(0)])
@pytest.mark.parametrize("direction", ["backup", "restore"])
async def test_a_dead_endpoint_is_given_up(bucket, proxy, tmp_path, monkeypatch, direction, answered):
    assert deadlines.DEAD <= 60
    folder, target = tmp_path / "uploads", tmp_path / "restored"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.txt").write_text(str(number) * 70_000)
    if direction == "restore":
        await backup_files(bucket, folder)
    monkeypatch.setattr(deadlines, "DEAD", 4.0)
    proxy.faults = [Fault(silent=True, times=10**9, skip=answered)]
    began = time.monotonic()
    with pytest.raises(StorageUnavailable, match="not answer"):
        await (backup_files(bucket, folder) if direction == "backup" else restore_files(bucket, target))
    assert time.monotonic() - began < 15
