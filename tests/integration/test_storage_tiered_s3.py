"""The cache in front of a real S3 server, through a proxy that counts and spoils."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from fastopp.storage.base import ChecksumMismatch, FileMissing, StorageUnavailable
from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.client import Patience
from fastopp.storage.tiered import TieredStorage
from tests.services import forks
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy
from tests.storage_conformance import KEY, StorageConformance

BIG = os.urandom(3_000_000)
HASTY = Patience(connect=2, silence=5, send=5, retries=2, pause=0.02, retry_for=5)


def bucket(name: str, endpoint: str) -> ObjectStorage:
    return ObjectStorage(name, endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, patience=HASTY)


def tiered(folder: Path, durable: ObjectStorage) -> TieredStorage:
    return TieredStorage(FileCache(folder, 64_000_000), durable)


class TestTieredOnS3(StorageConformance):
    # It is the bucket's listing, and 1,100 uploads take a while.
    test_lists_more_than_a_page = None

    @pytest.fixture
    async def storage(self, rclone: RcloneServer, tmp_path: Path) -> AsyncIterator[TieredStorage]:
        storage = tiered(tmp_path / "cache", bucket(rclone.create_bucket(), rclone.endpoint))
        yield storage
        await storage.aclose()


@pytest.fixture
def proxy(rclone: RcloneServer) -> Iterator[FaultProxy]:
    with FaultProxy(rclone) as running:
        yield running


@pytest.fixture
def name(rclone: RcloneServer) -> str:
    return rclone.create_bucket()


@pytest.fixture
async def storage(proxy: FaultProxy, name: str, tmp_path: Path) -> AsyncIterator[TieredStorage]:
    storage = tiered(tmp_path / "one", bucket(name, proxy.endpoint))
    yield storage
    await storage.aclose()


async def test_fifty_misses_are_one_download(
    storage: TieredStorage, proxy: FaultProxy, rclone: RcloneServer, name: str
) -> None:
    await bucket(name, rclone.endpoint).put(KEY, BIG, content_type="image/jpeg")
    assert await asyncio.gather(*(storage.get(KEY) for _ in range(50))) == [BIG] * 50
    assert await storage.get(KEY) == BIG
    assert len(proxy.asked("GET")) == 1
    assert len(proxy.asked("HEAD")) == 1


async def test_a_damaged_download_is_neither_handed_out_nor_cached(
    storage: TieredStorage, proxy: FaultProxy, rclone: RcloneServer, name: str
) -> None:
    content = BIG[:50_000]
    await bucket(name, rclone.endpoint).put(KEY, content, content_type="image/jpeg")
    proxy.faults.append(Fault("GET", corrupt_download=True))
    with suppress(ChecksumMismatch):
        assert await storage.get(KEY) == content
    assert await storage.get(KEY) == content


async def test_the_server_is_gone(storage: TieredStorage, proxy: FaultProxy) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    proxy.faults.append(Fault(times=10_000, drop_upload=0))
    assert await storage.get(KEY) == BIG
    with pytest.raises(StorageUnavailable):
        await storage.put("photos/new.jpg", b"x", content_type="image/jpeg")
    with pytest.raises(StorageUnavailable):
        await storage.get("photos/new.jpg")


async def test_a_silent_server_does_not_keep_readers_of_what_is_cached(
    storage: TieredStorage, proxy: FaultProxy
) -> None:
    await storage.put(KEY, BIG, content_type="image/jpeg")
    os.utime(storage.cache.path(KEY), (1, 1))
    proxy.faults.append(Fault(times=10_000, silent=True))
    assert await storage.get(KEY) == BIG
    assert await storage.get(KEY) == BIG


async def test_two_instances(storage: TieredStorage, rclone: RcloneServer, name: str, tmp_path: Path) -> None:
    other = tiered(tmp_path / "two", bucket(name, rclone.endpoint))
    stored = await storage.put(KEY, BIG, content_type="image/jpeg")
    assert await other.get(KEY) == BIG
    assert (await other.head(KEY)).etag == stored.etag
    await other.delete(KEY)
    os.utime(storage.cache.path(KEY), (1, 1))
    with pytest.raises(FileMissing):
        await storage.get(KEY)
    await other.aclose()


async def test_presigned_addresses(storage: TieredStorage) -> None:
    await storage.put(KEY, b"x", content_type="image/jpeg")
    minute = timedelta(minutes=1)
    assert KEY in await storage.presigned_get(KEY, expires=minute)
    assert KEY in (await storage.presigned_put(KEY, size=1, content_type="image/jpeg", expires=minute)).url


READER = """
import asyncio, sys
from pathlib import Path
from tests.integration.test_storage_tiered_s3 import KEY, bucket, tiered

async def main():
    storage = tiered(Path(sys.argv[3]), bucket(sys.argv[1], sys.argv[2]))
    async for piece in storage.stream(KEY):
        print(len(piece), flush=True)
    await storage.aclose()

asyncio.run(main())
"""


async def test_killed_while_it_fills(rclone: RcloneServer, proxy: FaultProxy, name: str, tmp_path: Path) -> None:
    await bucket(name, rclone.endpoint).put(KEY, BIG, content_type="image/jpeg")
    proxy.faults.append(Fault("GET", stall_download=1_000_000))  # then silent
    words = ["-c", READER, name, proxy.endpoint, tmp_path / "one"]
    process = forks.Program(words, cwd=Path(__file__).parents[2], stdout=forks.PIPE)
    assert process.stdout
    assert int(process.stdout.readline()) > 0
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(list((tmp_path / "one").iterdir())) == 1, "half a file under a temporary name"
    storage = tiered(tmp_path / "one", bucket(name, rclone.endpoint))
    assert await storage.get(KEY) == BIG
    os.utime(next((tmp_path / "one").glob(".incoming-*")), (1, 1))
    assert await storage.sweep() == 1
    assert [path.name for path in (tmp_path / "one").iterdir()] == [storage.cache.path(KEY).name]
    await storage.aclose()
