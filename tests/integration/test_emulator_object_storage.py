"""The emulator's Object Storage and its public address, as boto3 and our own storage meet them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import pytest_asyncio
from botocore.config import Config
from botocore.exceptions import ClientError

from fastopp.settings import load_settings
from fastopp.storage.select import open_storage
from leapcell_emulator.services.object_storage import ObjectStorage, StorageOptions

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def storage() -> AsyncIterator[ObjectStorage]:
    """With everything that is told of LeapCell's."""
    async with ObjectStorage() as running:
        yield running


class Client:
    """boto3 as its documentation shows it, in a thread."""

    def __init__(self, storage: ObjectStorage, *, secret: str = "") -> None:
        given = storage.environment()
        self.bucket = given["S3_BUCKET"]
        self.s3 = boto3.client(
            "s3",
            endpoint_url=given["S3_ENDPOINT_URL"],
            aws_access_key_id=given["S3_ACCESS_KEY"],
            aws_secret_access_key=secret or given["S3_SECRET_KEY"],
            region_name=given["S3_REGION"],
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
        )

    async def __call__(self, operation: str, **arguments: Any) -> Any:
        call = partial(getattr(self.s3, operation), Bucket=self.bucket, **arguments)
        return await asyncio.to_thread(call)

    async def keys(self, **arguments: Any) -> list[str]:
        found = await self("list_objects_v2", **arguments)
        return sorted(entry["Key"] for entry in found.get("Contents", []))


@pytest.fixture
def client(storage: ObjectStorage) -> Client:
    return Client(storage)


async def test_the_variables_are_those_of_the_dashboard(storage: ObjectStorage) -> None:
    given = storage.environment()
    assert re.fullmatch(r"[0-9a-f]{32}", given["S3_ACCESS_KEY"])
    assert re.fullmatch(r"\w{40}", given["S3_SECRET_KEY"])
    assert re.fullmatch(r"os-wsp\d+-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{8}", given["S3_BUCKET"])
    assert given["S3_CDN_URL"].endswith(f"/{given['S3_BUCKET']}")
    assert storage.status()["state"] == "running"
    assert not {given["S3_ACCESS_KEY"], given["S3_SECRET_KEY"]} & set(map(str, storage.status().values()))


async def test_an_object_comes_back(client: Client) -> None:
    body = bytes(range(256)) * 4000
    await client("put_object", Key="photos/Ada & Grace, 1.jpg", Body=body, ContentType="image/jpeg")
    found = await client("get_object", Key="photos/Ada & Grace, 1.jpg")
    assert await asyncio.to_thread(found["Body"].read) == body
    found = await client("get_object", Key="photos/Ada & Grace, 1.jpg", Range="bytes=256-511")
    assert await asyncio.to_thread(found["Body"].read) == bytes(range(256))
    assert (await client("head_object", Key="photos/Ada & Grace, 1.jpg"))["ContentLength"] == len(body)
    await client("delete_object", Key="photos/Ada & Grace, 1.jpg")
    with pytest.raises(ClientError, match="NoSuchKey"):
        await client("get_object", Key="photos/Ada & Grace, 1.jpg")


async def test_a_body_that_is_compressed_already_is_stored_as_it_comes(client: Client) -> None:
    await client("put_object", Key="page.gz", Body=b"not really gzip", ContentEncoding="gzip")
    assert (await client("head_object", Key="page.gz"))["ContentLength"] == 15
    await client("delete_object", Key="page.gz")


async def test_who_is_not_let_in(storage: ObjectStorage, client: Client) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        await Client(storage, secret="another secret key, also 40 characters!")("list_objects_v2")
    async with httpx.AsyncClient() as anonymous:
        assert (await anonymous.get(f"{storage.endpoint}/{storage.bucket}")).status_code == 403
        assert (await anonymous.get(f"{storage.endpoint}/{storage.bucket}/../../etc/passwd")).status_code in (403, 404)
    client.bucket = "os-wsp1-0000-0000-00000000"
    with pytest.raises(ClientError, match="NoSuchBucket"):
        await client("list_objects_v2")
    client.bucket = storage.bucket
    with pytest.raises(ClientError, match="AccessDenied"):
        await client("delete_bucket")


async def test_keys_come_encoded_and_prefixes_with_a_slash_find_nothing(storage: ObjectStorage, client: Client) -> None:
    for key in ("photos/a b.jpg", "photos/b.jpg", "top.txt"):
        await client("put_object", Key=key, Body=b"x")
    assert await client.keys() == ["photos%2Fa%20b.jpg", "photos%2Fb.jpg", "top.txt"]
    assert await client.keys(Prefix="photos") == ["photos%2Fa%20b.jpg", "photos%2Fb.jpg"]
    assert await client.keys(Prefix="photos/") == []
    assert await client.keys(Prefix="photos%2F") == []
    found = await client("list_objects_v2", Delimiter="/")
    assert [folder["Prefix"] for folder in found["CommonPrefixes"]] == ["photos%2F"]
    found = await client("list_objects_v2", Prefix="photos/", Delimiter="/")
    assert found["KeyCount"] == 0
    assert not found["IsTruncated"]
    assert any("photos/" in told for told in storage.status()["notices"])
    assert any("percent-encoded" in told for told in storage.status()["notices"])
    for key in ("photos/a b.jpg", "photos/b.jpg", "top.txt"):
        await client("delete_object", Key=key)


async def test_a_listing_has_pages(client: Client) -> None:
    for number in range(5):
        await client("put_object", Key=f"pages/{number}", Body=b"")
    found = await client("list_objects_v2", MaxKeys=2)
    pages = [found]
    while found["IsTruncated"]:
        found = await client("list_objects_v2", MaxKeys=2, ContinuationToken=found["NextContinuationToken"])
        pages.append(found)
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == [f"pages%2F{n}" for n in range(5)]
    await client("delete_objects", Delete={"Objects": [{"Key": f"pages/{number}"} for number in range(5)]})
    assert await client.keys() == []


async def test_without_the_oddities_it_is_s3() -> None:
    async with ObjectStorage(StorageOptions(oddities=False, blind_head=True)) as plain:
        client = Client(plain)
        await client("put_object", Key="photos/a b.jpg", Body=b"x")
        assert await client.keys(Prefix="photos/") == ["photos/a b.jpg"]
        assert plain.status()["notices"] == []
        with pytest.raises(ClientError, match="404"):
            await client("head_object", Key="photos/a b.jpg")
        assert (await client("get_object", Key="photos/a b.jpg"))["ContentLength"] == 1


async def test_the_quota_is_a_hard_cap() -> None:
    told: list[tuple[str, str]] = []
    options = StorageOptions(max_bytes=1000, max_files=3)
    async with ObjectStorage(options, notice=lambda rule, found: told.append((rule, found))) as small:
        client = Client(small)
        await client("put_object", Key="a", Body=bytes(600))
        with pytest.raises(ClientError, match="QuotaExceeded"):
            await client("put_object", Key="b", Body=bytes(401))
        await client("put_object", Key="a", Body=bytes(1000))  # in the place of what was there
        assert (small.status()["size"], small.status()["files"]) == (1000, 1)
        await client("delete_object", Key="a")
        for key in "abc":
            await client("put_object", Key=key, Body=b"")
        with pytest.raises(ClientError, match="QuotaExceeded"):
            await client("put_object", Key="d", Body=b"")
        await client("delete_objects", Delete={"Objects": [{"Key": "a"}, {"Key": "b"}]})
        assert small.status()["files"] == 1
        await client("put_object", Key="d", Body=b"")
    assert told == [("storage_quota", "b"), ("storage_files", "d")]


async def test_an_upload_in_parts_does_not_pass_the_quota() -> None:
    async with ObjectStorage(StorageOptions(max_bytes=12_000_000)) as small:
        client = Client(small)
        upload = await client("create_multipart_upload", Key="big")
        part = {"Key": "big", "UploadId": upload["UploadId"]}
        for number in (1, 2):
            await client("upload_part", **part, PartNumber=number, Body=bytes(5_000_000))
        with pytest.raises(ClientError, match="QuotaExceeded"):
            await client("upload_part", **part, PartNumber=3, Body=bytes(5_000_000))
        with pytest.raises(ClientError, match="QuotaExceeded"):
            await client("put_object", Key="other", Body=bytes(5_000_000))
        await client("abort_multipart_upload", **part)
        await client("put_object", Key="other", Body=bytes(5_000_000))
        assert (small.status()["size"], small.status()["files"]) == (5_000_000, 1)


async def test_many_at_once_do_not_pass_the_quota(storage: ObjectStorage) -> None:
    async with ObjectStorage(StorageOptions(max_files=5)) as small:
        client = Client(small)
        with ThreadPoolExecutor(10) as pool:
            loop = asyncio.get_running_loop()
            put: Callable[[int], Any] = lambda n: client.s3.put_object(Bucket=small.bucket, Key=f"{n}", Body=b"")  # noqa: E731
            answers = await asyncio.gather(
                *(loop.run_in_executor(pool, put, number) for number in range(20)), return_exceptions=True
            )
        assert sum(isinstance(answer, ClientError) for answer in answers) == 15
        assert small.status()["files"] == len(await client.keys()) == 5


async def test_an_upload_in_parts_and_a_copy_are_counted(storage: ObjectStorage, client: Client) -> None:
    before = storage.status()["size"]
    upload = await client("create_multipart_upload", Key="big")
    part = {"Key": "big", "UploadId": upload["UploadId"]}
    tags = [await client("upload_part", **part, PartNumber=number, Body=bytes(5_000_000 + number)) for number in (1, 2)]
    parts = [{"ETag": tag["ETag"], "PartNumber": number} for number, tag in enumerate(tags, 1)]
    await client("complete_multipart_upload", **part, MultipartUpload={"Parts": parts})
    assert storage.status()["size"] - before == 10_000_003
    await client("copy_object", Key="copy", CopySource={"Bucket": storage.bucket, "Key": "big"})
    assert storage.status()["size"] - before == 20_000_006
    await client("delete_objects", Delete={"Objects": [{"Key": "big"}, {"Key": "copy"}]})
    assert storage.status()["size"] == before


async def test_a_storage_that_has_died_says_so() -> None:
    async with ObjectStorage() as dead:
        client = Client(dead)
        assert dead._rclone
        await dead._rclone.stop()
        with pytest.raises(ClientError, match="ServiceUnavailable"):
            await client("put_object", Key="a", Body=bytes(100_000))
        assert dead.status()["state"] == "ended"


async def test_the_public_address_shows_all_and_old_copies(storage: ObjectStorage, client: Client) -> None:
    await client("put_object", Key="photos/é 1.jpg", Body=b"first", ContentType="image/jpeg")
    async with httpx.AsyncClient(base_url=f"{storage.cdn_url}/") as browser:
        seen = await browser.get("photos/é 1.jpg")
        assert (seen.content, seen.headers["x-cache"], seen.headers["content-type"]) == (b"first", "MISS", "image/jpeg")
        assert seen.headers["cache-control"] == "public, max-age=43200"
        await client("put_object", Key="photos/é 1.jpg", Body=b"second, and longer")
        seen = await browser.get("photos/é 1.jpg")
        assert (seen.content, seen.headers["x-cache"]) == (b"first", "HIT")
        await client("delete_object", Key="photos/é 1.jpg")
        assert (await browser.get("photos/é 1.jpg", headers={"Range": "bytes=1-2"})).content == b"ir"
        assert (await browser.head("photos/é 1.jpg")).headers["content-length"] == "5"
        storage.purge_cdn()
        assert (await browser.get("photos/é 1.jpg")).status_code == 404
        assert (await browser.get("never/was")).status_code == 404
        assert (await browser.put("photos/b.jpg", content=b"x")).status_code == 405
        for path in ("..%2f..%2f..%2fetc%2fpasswd", "../../../etc/passwd", "%2fetc%2fpasswd", "a%00b", "photos", ""):
            assert (await browser.get(path)).status_code in (400, 404), path


async def test_a_change_that_the_public_address_does_not_show_is_told() -> None:
    told: list[str] = []
    async with ObjectStorage(StorageOptions(), notice=lambda rule, _: told.append(rule)) as storage:
        client = Client(storage)
        await client("put_object", Key="logo.svg", Body=b"one")
        async with httpx.AsyncClient() as browser:
            await browser.get(f"{storage.cdn_url}/logo.svg")
            await browser.get(f"{storage.cdn_url}/logo.svg")
            assert told == []
            await client("put_object", Key="logo.svg", Body=b"another")
            await browser.get(f"{storage.cdn_url}/logo.svg")
            assert told == ["cdn_ttl"]
    async with ObjectStorage(StorageOptions(cdn_ttl=0)) as storage:
        client = Client(storage)
        async with httpx.AsyncClient() as browser:
            for body in (b"one", b"another"):
                await client("put_object", Key="logo.svg", Body=body)
                assert (await browser.get(f"{storage.cdn_url}/logo.svg")).content == body


async def test_a_saved_bucket_is_loaded_into_another(storage: ObjectStorage, client: Client, tmp_path: Path) -> None:
    await client("put_object", Key="photos/kept.jpg", Body=b"kept")
    await storage.save(tmp_path / "saved")
    await client("delete_object", Key="photos/kept.jpg")
    await storage.save(tmp_path / "empty")
    async with ObjectStorage() as other:
        theirs = Client(other)
        assert not await other.load(tmp_path / "never saved")
        await theirs("put_object", Key="gone.txt", Body=b"")
        assert await other.load(tmp_path / "saved")
        assert await theirs.keys() == ["photos%2Fkept.jpg"]
        assert (other.status()["files"], other.status()["size"]) == (1, 4)
        assert await asyncio.to_thread((await theirs("get_object", Key="photos/kept.jpg"))["Body"].read) == b"kept"
        await other.save(tmp_path / "empty")
        assert await other.load(tmp_path / "empty")
        assert await theirs.keys() == ["photos%2Fkept.jpg"]


async def test_our_own_storage_works_with_it(storage: ObjectStorage, tmp_path: Path) -> None:
    environment = {**storage.environment(), "STORAGE_TYPE": "s3", "UPLOAD_DIR": str(tmp_path / "cache")}
    settings = load_settings({**environment, "ENVIRONMENT": "development", "FASTOPP_PLATFORM": "local"})
    ours = open_storage(settings)
    await ours.put("photos/0123.jpg", b"a photo", content_type="image/jpeg")
    assert await ours.get("photos/0123.jpg") == b"a photo"
    assert [file.key async for file in ours.list("photos/")] == ["photos/0123.jpg"]
    assert ours.url("photos/0123.jpg").startswith((storage.cdn_url, "/static/uploads/"))
    await ours.delete("photos/0123.jpg")
    assert [file.key async for file in ours.list("photos/")] == []


async def test_addresses_that_boto3_signs_by_default(client: Client) -> None:
    """By the older signature, which has no region and no date."""
    await client("put_object", Key="private/a b.txt", Body=b"secret")

    def sign(method: str = "get_object", seconds: int = 60, **more: str) -> str:
        parameters = {"Bucket": client.bucket, "Key": "private/a b.txt", **more}
        return str(client.s3.generate_presigned_url(method, Params=parameters, ExpiresIn=seconds))

    assert "AWSAccessKeyId=" in sign()
    async with httpx.AsyncClient() as browser:
        answer = await browser.get(sign(ResponseContentDisposition='attachment; filename="a.txt"'))
        assert (answer.status_code, answer.content) == (200, b"secret")
        assert answer.headers["content-disposition"] == 'attachment; filename="a.txt"'
        assert (await browser.head(sign("head_object"))).status_code == 200
        assert (await browser.get(sign().replace("a%20b", "c"))).status_code == 403
        assert (await browser.get(sign(seconds=-1))).status_code == 403
        assert (await browser.get(sign() + "x")).status_code == 403
        assert (await browser.get(sign(Key="nothing"))).status_code == 404
        assert (await browser.put(sign(), content=b"other")).status_code == 403
