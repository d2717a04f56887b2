"""A restore where uploads live in the Object Storage: the cache is filled, as far as it has room."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.object import ObjectStorage
from fastopp.storage.sync.warm import bring_files, warm_cache
from fastopp.storage.tiered import TieredStorage
from tests.services.ops_project import BEARER, running
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy


@pytest.fixture
def name(rclone: RcloneServer) -> str:
    """A bucket with five files of 100 KB, and an empty one."""
    bucket = rclone.create_bucket()
    folder = rclone.bucket(bucket) / "photos"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.jpg").write_bytes(os.urandom(100_000))
    (folder / "empty.jpg").touch()
    return bucket


@pytest.fixture
async def proxy(rclone: RcloneServer) -> AsyncIterator[FaultProxy]:
    with FaultProxy(rclone) as proxy:
        yield proxy


def bucket(name: str, proxy: FaultProxy) -> ObjectStorage:
    return ObjectStorage(name, endpoint=proxy.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)


async def test_what_is_fetched_is_served_without_the_object_storage(
    name: str, proxy: FaultProxy, tmp_path: Path
) -> None:
    storage = TieredStorage(FileCache(tmp_path / "cache", 64_000_000), bucket(name, proxy))
    report = await bring_files(storage, storage.durable, tmp_path)
    assert (report.status, report.copied, report.skipped, report.bytes) == ("success", 5, 1, 500_000)
    assert "into the cache" in report.message
    assert os.listdir(tmp_path) == ["cache"]  # noqa: PTH208 - nothing is put where nobody looks
    asked = len(proxy.asked("GET"))
    assert len(await storage.get("photos/3.jpg")) == 100_000
    assert len(proxy.asked("GET")) == asked
    again = await warm_cache(storage, storage.cache)
    assert (again.copied, again.skipped) == (0, 6)
    await storage.aclose()


async def test_a_small_cache(name: str, proxy: FaultProxy, tmp_path: Path) -> None:
    storage = TieredStorage(FileCache(tmp_path / "cache", 400_000), bucket(name, proxy))
    report = await warm_cache(storage, storage.cache)
    assert report.status == "success"
    assert (report.copied, report.left_out_count) == (3, 2)
    assert "no room" in report.left_out[0].reason
    used = sum(path.stat().st_size for path in (tmp_path / "cache").iterdir())
    assert 300_000 < used <= 400_000
    assert (await warm_cache(storage, storage.cache)).skipped == 4
    await storage.aclose()


async def test_what_does_not_come(name: str, proxy: FaultProxy, tmp_path: Path) -> None:
    storage = TieredStorage(FileCache(tmp_path / "cache", 64_000_000), bucket(name, proxy))
    proxy.faults = [Fault("GET", path=f"photos/{n}.jpg", times=99, refuse=(403, "AccessDenied")) for n in (1, 3)]
    report = await warm_cache(storage, storage.cache)
    assert (report.status, report.copied, report.failed_count) == ("error", 3, 2)
    proxy.faults = []
    assert (await warm_cache(storage, storage.cache)).copied == 2
    await storage.aclose()


async def test_over_http(rclone: RcloneServer, name: str, tmp_path: Path) -> None:
    environ = {
        "STORAGE_TYPE": "s3",
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": name,
        "S3_ENDPOINT_URL": rclone.endpoint,
    }
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, environ) as project, project.client() as client:
        done = await client.post("/admin/restore-files", headers=BEARER)
        assert done.status_code == 200, done.text
        assert (done.json()["files_count"], done.json()["bucket"]) == (6, name)
        assert not (tmp_path / "uploads" / "photos").exists()
        again = (await client.post("/admin/restore-files", headers=BEARER)).json()
        assert (again["copied"], again["skipped"]) == (0, 6)
