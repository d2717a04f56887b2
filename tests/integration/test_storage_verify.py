"""Verify where uploads live in the Object Storage: that has the originals, and the cache has copies."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.object import ObjectStorage
from fastopp.storage.sync.cached_copies import count_copies
from fastopp.storage.sync.verify import CacheComparison, verify_cache, verify_uploads
from fastopp.storage.sync.warm import warm_cache
from fastopp.storage.tiered import TieredStorage
from tests.services.ops_project import BEARER, BROWSER, HTMX, running
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer

LARGE = "photos/large.jpg"


@pytest.fixture
def bucket(rclone: RcloneServer) -> Path:
    """The folder of a bucket with five small files, a large one, an empty one, and a backup of the database."""
    folder = rclone.bucket(rclone.create_bucket())
    for number in range(5):
        (folder / "photos").mkdir(exist_ok=True)
        (folder / f"photos/{number}.jpg").write_bytes(os.urandom(1000))
    (folder / "photos/empty.jpg").touch()
    (folder / LARGE).write_bytes(os.urandom(3_000_000))
    (folder / "backups").mkdir()
    (folder / "backups/x.fastopp.gz.enc").write_bytes(b"x")
    return folder


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
async def storage(rclone: RcloneServer, bucket: Path, uploads: Path) -> AsyncIterator[TieredStorage]:
    durable = ObjectStorage(bucket.name, endpoint=rclone.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    storage = TieredStorage(FileCache(uploads / ".cache", 64_000_000), durable)
    yield storage
    await storage.aclose()


async def verified(storage: TieredStorage, uploads: Path) -> CacheComparison:
    result = await verify_uploads(storage, storage.durable, uploads)
    assert isinstance(result, CacheComparison)
    return result


async def test_what_is_not_cached_is_no_difference(storage: TieredStorage, uploads: Path) -> None:
    result = await verified(storage, uploads)
    assert (result.equal, result.stored, result.cached, result.not_cached) == (True, 7, 0, 7)
    await storage.get("photos/1.jpg")
    result = await verified(storage, uploads)
    assert (result.equal, result.stored, result.cached, result.not_cached) == (True, 7, 1, 6)
    assert result.message == "The Object Storage has 7 files: 1 with the same content in the cache, 6 not cached."


async def test_after_a_restore(storage: TieredStorage, uploads: Path) -> None:
    await warm_cache(storage, storage.cache)
    result = await verified(storage, uploads)
    assert (result.equal, result.cached, result.failed, result.as_json()["status"]) == (True, 7, [], "success")
    assert (result.bytes, result.not_cached) == (3_005_000, 0)
    assert count_copies(storage.cache.folder)[0] == 7


async def test_it_counts_as_no_use(storage: TieredStorage, uploads: Path) -> None:
    """What was used last would stay longest."""
    await warm_cache(storage, storage.cache)
    long_ago = 1_000_000_000
    for path in storage.cache.folder.iterdir():
        os.utime(path, (long_ago, long_ago + 1))
    await verify_cache(storage.durable, storage.cache, uploads)
    times = {(path.stat().st_atime, path.stat().st_mtime) for path in storage.cache.folder.iterdir()}
    assert times == {(long_ago, long_ago + 1)}


@pytest.mark.parametrize("key", ["photos/1.jpg", LARGE])
async def test_a_copy_with_other_content(storage: TieredStorage, uploads: Path, key: str) -> None:
    await warm_cache(storage, storage.cache)
    with storage.cache.path(key).open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    result = await verified(storage, uploads)
    assert (result.equal, result.differing_in_cache, result.cached) == (False, [key], 6)
    assert "1 in the cache differ." in result.message


async def test_a_damaged_copy_counts_as_absent(storage: TieredStorage, uploads: Path) -> None:
    await warm_cache(storage, storage.cache)
    os.truncate(storage.cache.path("photos/1.jpg"), 500)
    (storage.cache.folder / "strange").write_bytes(b"x")
    result = await verified(storage, uploads)
    assert (result.equal, result.cached, result.not_cached) == (True, 6, 1)


async def test_originals_that_changed_or_went(storage: TieredStorage, uploads: Path, bucket: Path) -> None:
    await warm_cache(storage, storage.cache)
    (bucket / "photos/1.jpg").write_bytes(os.urandom(1000))
    (bucket / "photos/2.jpg").write_bytes(b"shorter")
    await storage.durable.delete("photos/3.jpg")  # as another instance does
    result = await verified(storage, uploads)
    assert not result.equal
    assert sorted(result.differing_in_cache) == ["photos/1.jpg", "photos/2.jpg"]
    assert (result.only_in_cache, result.stored, result.cached) == (["photos/3.jpg"], 6, 4)


async def test_files_in_the_folder_itself(storage: TieredStorage, uploads: Path, bucket: Path) -> None:
    await warm_cache(storage, storage.cache)
    (uploads / "photos").mkdir(parents=True)
    (uploads / "photos/1.jpg").write_bytes((bucket / "photos/1.jpg").read_bytes())
    result = await verified(storage, uploads)
    assert (result.equal, result.matching, result.cached) == (True, 1, 7)
    (uploads / "photos/2.jpg").write_bytes(b"other")
    (uploads / "photos/mine.jpg").write_bytes(b"mine")
    result = await verified(storage, uploads)
    assert (result.differing, result.missing_in_storage) == (["photos/2.jpg"], ["photos/mine.jpg"])
    assert (result.missing_in_folder_count, result.not_cached, result.cached) == (0, 0, 7)
    assert "1 in the folder are not in the Object Storage." in result.message
    assert not result.equal


async def test_a_note_about_an_upload_is_none(storage: TieredStorage, uploads: Path) -> None:
    await storage.put("backups/announced/x", b"{}", content_type="application/json")
    assert (await verified(storage, uploads)).as_json()["only_in_cache"] == []


async def test_the_card(rclone: RcloneServer, bucket: Path, uploads: Path, tmp_path: Path) -> None:
    keys = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": bucket.name}
    environ = keys | {"S3_ENDPOINT_URL": rclone.endpoint, "STORAGE_TYPE": "s3", "UPLOAD_DIR": str(uploads)}
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, environ) as project:
        async with project.client() as client:
            assert (await client.post("/async/migrate", headers=BEARER)).status_code == 200
            assert (await client.post("/async/init-demo", headers=BEARER)).status_code == 200
            assert (await client.post("/admin/restore-files", headers=BEARER)).json()["status"] == "success"
        async with project.signed_in() as browser:
            same = await browser.post("/oppman/files/verify", headers={"Accept": "application/json"})
            assert (same.status_code, same.json()["status"]) == (200, "success"), same.text
            assert (same.json()["missing_in_folder"], same.json()["not_cached"]) == ([], 0)
            state = await browser.get("/oppman/files", headers=HTMX)
            assert "Files in the cache" in state.text
            assert "Files in the folder" not in state.text
            facts = (await browser.get("/oppman/files", headers={"Accept": "application/json"})).json()
            assert facts["cached_files"] == same.json()["cached"]
            durable = project.app.state.runtime.storage.durable
            await durable.delete("photos/1.jpg")
            other = await browser.post("/oppman/files/verify", headers=BROWSER)
            assert "not in the Object Storage  photos/1.jpg (in the cache)" in other.text
