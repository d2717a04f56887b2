"""What is told of LeapCell's Object Storage, one oddity after the other, and all at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from fastopp.features.leapcell.storage import LeapCellStorage
from fastopp.storage.base import FileMissing, QuotaExceeded
from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.quota import Quota
from tests.integration.test_storage_object import open_bucket
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import OddServer
from tests.storage_conformance import KEY, listed, pieces, streamed

KEYS = ("photos/a.jpg", "photos/b c+d%2f.jpg", "photos/é.jpg", "sample_photos/a.jpg")


@pytest.fixture
def server(rclone: RcloneServer) -> Iterator[OddServer]:
    with OddServer(rclone) as running:
        yield running


@pytest.fixture
def storage(server: OddServer, rclone: RcloneServer) -> ObjectStorage:
    return open_bucket(rclone.create_bucket(), server.endpoint)


async def fill(storage: ObjectStorage) -> None:
    for key in KEYS:
        await storage.put(key, key.encode(), content_type="image/jpeg")


async def check(storage: ObjectStorage) -> None:
    assert set(await listed(storage)) == set(KEYS)
    assert set(await listed(storage, "photos/")) == set(KEYS[:3])
    assert set(await listed(storage, "photos/b")) == {KEYS[1]}
    assert await listed(storage, "nothing/") == {}
    for key in KEYS:
        assert await storage.get(key) == key.encode()
        assert (await storage.head(key)).size == len(key.encode())
    with pytest.raises(FileMissing):
        await storage.head("photos/none.jpg")


async def test_names_come_encoded(server: OddServer, storage: ObjectStorage) -> None:
    server.encodes_keys = True
    await fill(storage)
    await check(storage)


async def test_a_name_that_only_looks_encoded_is_left_alone(storage: ObjectStorage) -> None:
    await storage.put("a%2fb.jpg", b"x", content_type="image/jpeg")
    assert list(await listed(storage)) == ["a%2fb.jpg"]


async def test_a_prefix_with_a_slash_matches_nothing(server: OddServer, storage: ObjectStorage) -> None:
    server.deaf_to_slashes = True
    await fill(storage)
    await check(storage)


async def test_a_prefix_that_works_is_relied_on(server: OddServer, storage: ObjectStorage) -> None:
    await fill(storage)
    assert set(await listed(storage, "photos/")) == set(KEYS[:3])
    server.requests.clear()
    assert await listed(storage, "nothing/") == {}
    assert all("prefix=" in path for path in server.asked("GET"))


async def test_head_denies_what_is_there(server: OddServer, storage: ObjectStorage) -> None:
    server.blind_head = True
    await fill(storage)
    await check(storage)
    await storage.put(KEY, b"", content_type="image/png")
    assert (await storage.head(KEY)).size == 0
    assert (await storage.head(KEY)).content_type == "image/png"
    await storage.put(KEY, pieces(bytes(9_000_000)), content_type="image/png")
    assert (await storage.head(KEY)).size == 9_000_000
    await storage.delete(KEY)
    with pytest.raises(FileMissing):
        await storage.get(KEY)


async def test_all_at_once(server: OddServer, storage: ObjectStorage) -> None:
    server.encodes_keys = server.deaf_to_slashes = server.blind_head = True
    await fill(storage)
    await check(storage)


async def test_the_server_s_own_cap(server: OddServer, storage: ObjectStorage) -> None:
    server.max_files = 4
    await fill(storage)
    for data in (b"x", bytes(9_000_000)):
        with pytest.raises(QuotaExceeded):
            await storage.put(KEY, data, content_type="image/jpeg")
    assert set(await listed(storage)) == set(KEYS)


async def test_the_quota_is_kept_before_anything_is_sent(
    server: OddServer, rclone: RcloneServer, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_bucket(rclone.create_bucket(), server.endpoint, quota=Quota(files=5, size=10_000_000))
    with caplog.at_level(logging.WARNING):
        await fill(storage)
    assert caplog.text.count("80 % full") == 1
    server.requests.clear()
    with pytest.raises(QuotaExceeded, match="S3_QUOTA_MB"):
        await storage.put(KEY, pieces(bytes(10_000_000)), content_type="image/jpeg")
    await storage.put(KEY, b"x", content_type="image/jpeg")
    with pytest.raises(QuotaExceeded):
        await storage.put("photos/new.jpg", b"x", content_type="image/jpeg")
    assert len(server.asked("PUT")) <= 2  # at most the first part of what was then given up
    assert set(await listed(storage)) == {*KEYS, KEY}
    await storage.delete(KEY)
    await storage.put("photos/new.jpg", b"x", content_type="image/jpeg")


async def test_what_the_fork_backed_up_is_found(rclone: RcloneServer, storage: ObjectStorage) -> None:
    raw = open_bucket(storage.bucket, rclone.endpoint)
    raw._names.name = lambda key: key  # type: ignore[method-assign] # as the fork named its objects
    await raw.put("uploads/photos/old.jpg", b"old", content_type="image/jpeg")
    await raw.put("uploads/photos/both.jpg", b"old", content_type="image/jpeg")
    await raw.put("photos/both.jpg", b"new", content_type="image/jpeg")
    for prefix in ("", "photos/"):
        assert {key: file.size for key, file in (await listed(storage, prefix)).items()} == {
            "photos/old.jpg": 3,
            "photos/both.jpg": 3,
        }
    assert await storage.get("photos/old.jpg") == await streamed(storage, "photos/old.jpg") == b"old"
    assert await storage.get("photos/both.jpg") == b"new"
    assert (await storage.head("photos/old.jpg")).key == "photos/old.jpg"
    await storage.delete("photos/both.jpg")
    await storage.delete("photos/old.jpg")
    assert await listed(storage) == {}


async def test_a_key_that_begins_like_the_legacy_place(storage: ObjectStorage) -> None:
    await storage.put("uploads/a.jpg", b"mine", content_type="image/jpeg")
    with pytest.raises(FileMissing):
        await storage.get("a.jpg")
    assert await storage.get("uploads/a.jpg") == b"mine"
    assert list(await listed(storage)) == list(await listed(storage, "uploads/")) == ["uploads/a.jpg"]


async def test_two_storages_in_one_bucket(rclone: RcloneServer) -> None:
    bucket = rclone.create_bucket()
    one = open_bucket(bucket, rclone.endpoint, prefix="one/")
    two = open_bucket(bucket, rclone.endpoint, prefix="two", cdn_url="https://cdn.example/b/")
    await one.put(KEY, b"1", content_type="image/jpeg")
    await two.put(KEY, b"two", content_type="image/jpeg")
    assert (await one.get(KEY), await two.get(KEY)) == (b"1", b"two")
    assert list(await listed(one)) == list(await listed(two, "photos/")) == [KEY]
    assert two.url("photos/a b.jpg") == "https://cdn.example/b/two/photos/a%20b.jpg"
    assert (await one.usage()).size == 4


def test_the_preset() -> None:
    storage = LeapCellStorage("os-wsp1", access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    assert repr(storage) == "LeapCellStorage('os-wsp1' at 'https://objstorage.leapcell.io')"
    assert storage.url(KEY) == f"/static/uploads/{KEY}"
