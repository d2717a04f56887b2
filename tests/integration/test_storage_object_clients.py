"""Other programs read what we wrote and write what we read; processes that used it end well and stay small."""

# ruff: noqa: ASYNC210 - a test may block, and runs its own programs
from __future__ import annotations

import hashlib
import io
import subprocess
from datetime import timedelta
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from fastopp.storage.base import FileMissing
from fastopp.storage.object import ObjectStorage
from tests.gate import full, only_full
from tests.integration.test_storage_object import open_bucket
from tests.services import forks
from tests.services.s3 import ACCESS_KEY, REGION, SECRET_KEY, RcloneServer
from tests.services.s3_faults import FaultProxy
from tests.storage_conformance import KEY, ODD_KEYS, listed, pieces

LONG_KEY = "/".join(["k" * 200] * 5) + "/" + "k" * 19  # 1,024 bytes


@pytest.fixture(scope="module")
def boto(rclone: RcloneServer) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=rclone.endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}),
    )


@pytest.fixture
def storage(rclone: RcloneServer) -> ObjectStorage:
    return open_bucket(rclone.create_bucket(), rclone.endpoint)


@pytest.mark.parametrize("key", [*ODD_KEYS, LONG_KEY, "photos/%2F+ .jpg", "photos/~!*'().jpg"])
async def test_boto3_and_we_agree_on_names(storage: ObjectStorage, boto: Any, key: str) -> None:
    assert len(key.encode()) <= 1024
    await storage.put(key, key.encode(), content_type="image/png")
    told = boto.get_object(Bucket=storage.bucket, Key=key)
    assert told["Body"].read() == key.encode()
    assert told["ContentType"] == "image/png"
    assert [item["Key"] for item in boto.list_objects_v2(Bucket=storage.bucket)["Contents"]] == [key]
    boto.put_object(Bucket=storage.bucket, Key=key, Body=b"boto's", ContentType="image/gif")
    assert await storage.get(key) == b"boto's"
    assert (await storage.head(key)).content_type == "image/gif"
    assert [file.size for file in (await listed(storage)).values()] == [6]


async def test_boto3_reads_what_was_sent_in_parts(storage: ObjectStorage, boto: Any) -> None:
    big = bytes(range(256)) * 4096 * 20
    stored = await storage.put(KEY, pieces(big), content_type="image/jpeg", checksum=hashlib.md5(big).hexdigest())
    assert stored.size == len(big)
    assert boto.get_object(Bucket=storage.bucket, Key=KEY)["Body"].read() == big
    boto.upload_fileobj(io.BytesIO(big), storage.bucket, "photos/boto.jpg")
    assert await storage.get("photos/boto.jpg") == big
    assert (await storage.head(KEY)).etag == (await storage.head("photos/boto.jpg")).etag


@pytest.mark.parametrize("key", [KEY, "photos/a b+c%2fd?é.jpg"])
async def test_presigned_addresses(storage: ObjectStorage, key: str) -> None:
    minute = timedelta(minutes=1)
    with pytest.raises(FileMissing):
        await storage.presigned_get(key, expires=minute)
    upload = await storage.presigned_put(key, size=5, content_type="image/png", expires=minute)
    assert "Signature" not in repr(upload)
    for body, headers in (
        (b"hello!", upload.headers),
        (b"hell", upload.headers),
        (b"hello", {"Content-Type": "text/html"}),
        (b"hello", {}),
    ):
        with pytest.raises(HTTPError, match="403"):
            urlopen(Request(upload.url, body, dict(headers), method="PUT"))
    with pytest.raises(HTTPError, match="403"):
        urlopen(Request(upload.url.replace(".jpg", ".png"), b"hello", dict(upload.headers), method="PUT"))
    urlopen(Request(upload.url, b"hello", dict(upload.headers), method="PUT")).close()
    assert (await storage.head(key)).content_type == "image/png"
    url = await storage.presigned_get(key, expires=minute)
    with urlopen(url) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(HTTPError, match="403"):
        urlopen(url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"))


@full
async def test_ten_thousand_names_come_a_page_at_a_time(storage: ObjectStorage, rclone: RcloneServer) -> None:
    folder = rclone.bucket(storage.bucket) / "photos"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05}.jpg").touch()
    with FaultProxy(rclone) as proxy:
        storage = open_bucket(storage.bucket, proxy.endpoint)
        files = storage.list("photos/")
        assert (await anext(files)).size == 0
        assert len(proxy.asked("GET")) == 1
        await files.aclose()
        proxy.requests.clear()
        assert len(await listed(storage, "photos/")) == 10_000
        assert len(proxy.asked("GET")) <= 12


async def test_variables_of_other_programs_change_nothing(
    rclone: RcloneServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_BUCKET", "AWS_REGION"):
        monkeypatch.setenv(name, "another")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    storage = open_bucket(rclone.create_bucket(), rclone.endpoint)
    await storage.put(KEY, b"x", content_type="image/jpeg")
    assert await storage.get(KEY) == b"x"
    assert SECRET_KEY not in repr(storage._objects.reading.config)


LAST_REQUEST = """
import asyncio, sys
from fastopp.storage.object import ObjectStorage
async def main():
    storage = ObjectStorage(sys.argv[1], endpoint=sys.argv[2], access_key=sys.argv[3], secret_key=sys.argv[4])
    async def one(number):
        await storage.put(f"photos/{number}.jpg", bytes(100_000), content_type="image/jpeg")
        await storage.get(f"photos/{number}.jpg")
    await asyncio.gather(*(one(number) for number in range(4)))
    task = asyncio.create_task(one(9))
    await asyncio.sleep(0.002)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.gather(*(storage.head(f"photos/{number}.jpg") for number in range(4)))
asyncio.run(main())
"""

BIG_FILE = """
import asyncio, resource, sys
from fastopp.storage.object import ObjectStorage
PIECE = bytes(range(256)) * 256
async def pieces(count):
    for _ in range(count):
        yield PIECE
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
async def main():
    storage = ObjectStorage(sys.argv[1], endpoint=sys.argv[2], access_key=sys.argv[3], secret_key=sys.argv[4])
    start = peak()
    await storage.put("big", pieces(3200), content_type="video/mp4")
    sent = peak()
    size = 0
    async for piece in storage.stream("big"):
        size += len(piece)
    assert size == 3200 * len(PIECE), size
    print(start, sent, peak())
asyncio.run(main())
"""


def run(program: str, storage: ObjectStorage) -> subprocess.CompletedProcess[str]:
    words = ["-c", program, storage.bucket, storage.endpoint, ACCESS_KEY, SECRET_KEY]
    return forks.run(words, text=True, timeout=120, finalize=True)


@pytest.mark.parametrize("processes", [6, *only_full(30)])
def test_a_process_that_used_it_ends_well(storage: ObjectStorage, processes: int) -> None:
    for _ in range(processes):  # without waiting for obstore's threads one in five died of SIGABRT
        ended = run(LAST_REQUEST, storage)
        assert ended.returncode == 0, ended.stderr


@full
def test_a_file_of_200_megabytes_takes_no_memory(storage: ObjectStorage) -> None:
    ended = run(BIG_FILE, storage)
    assert ended.returncode == 0, ended.stderr
    start, sent, received = map(int, ended.stdout.split())
    assert sent - start < 100, ended.stdout  # MB; the file has 210
    assert received - start < 100, ended.stdout
