"""Uploaded files over HTTP, as on LeapCell: an S3 server behind a cache."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastopp.seeding import run_full_init
from fastopp.storage import announced as notes
from fastopp.storage.announced import remove_abandoned
from fastopp.storage.direct_uploads import MAX_SIZE
from fastopp.storage.file_types import is_of_type
from fastopp.storage.object import ObjectStorage
from fastopp.storage.references import remove_leftovers
from fastopp.storage.tiered import TieredStorage
from tests.services.clock import ManualClock
from tests.services.ops_project import Project, running
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy

PASSWORD = "a-password-of-the-tests"
LEAPCELL = {
    "FASTOPP_PLATFORM": "leapcell",
    "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00",
    "SUPERUSER_PASSWORD": PASSWORD,
    "S3_ACCESS_KEY": ACCESS_KEY,
    "S3_SECRET_KEY": SECRET_KEY,
}
KEY = "photos/0123456789abcdef0123456789abcdef.jpg"
URL = f"/static/uploads/{KEY}"
PHOTO = b"\xff\xd8\xff\xe0" + os.urandom(50_000)
BIG = b"\xff\xd8\xff\xe0" + os.urandom(6 * 1024 * 1024)  # over LeapCell's 5 MiB


@dataclass
class Site:
    """A project with its bucket."""

    project: Project
    proxy: FaultProxy
    bucket: str
    clock: ManualClock

    @property
    def storage(self) -> TieredStorage:
        storage = self.project.runtime.storage
        assert isinstance(storage, TieredStorage)
        return storage

    @property
    def objects(self) -> Path:
        return self.proxy.server.bucket(self.bucket)

    async def place(self, key: str, content: bytes) -> None:
        """Put a file into the bucket as another instance would."""
        endpoint = self.proxy.server.endpoint
        other = ObjectStorage(self.bucket, endpoint=endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        await other.put(key, content, content_type="image/jpeg")


@pytest.fixture
def proxy(rclone: RcloneServer) -> Iterator[FaultProxy]:
    with FaultProxy(rclone) as running:
        yield running


@asynccontextmanager
async def site_with(proxy: FaultProxy, folder: Path, **environ: str) -> AsyncIterator[Site]:
    bucket = proxy.server.create_bucket()
    own = LEAPCELL | {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": proxy.endpoint} | environ
    clock = ManualClock()
    async with running(f"sqlite:///{folder}/t.db", folder, own, clock=clock) as project:
        yield Site(project, proxy, bucket, clock)


@pytest.fixture
async def site(proxy: FaultProxy, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_with(proxy, tmp_path) as site:
        yield site


async def test_misses_and_hits_are_answered_alike(site: Site) -> None:
    await site.place(KEY, PHOTO)
    async with site.project.client() as client:
        answers = []
        for _ in range(2):
            shutil.rmtree(site.storage.cache.folder, ignore_errors=True)
            head = await client.head(URL)  # a miss that downloads nothing
            assert not site.storage.cache.folder.exists()
            whole = await client.get(URL)
            hit_head, hit = await client.head(URL), await client.get(URL)
            assert head.headers.get("content-length") == str(len(PHOTO))
            answers += [whole, hit]
            for answer in (head, whole, hit_head, hit):
                assert answer.status_code == 200
                for name in ("etag", "last-modified", "content-type", "cache-control", "accept-ranges"):
                    assert answer.headers[name] == whole.headers[name]
        assert {answer.content for answer in answers} == {PHOTO}
        assert answers[0].headers["content-type"] == "image/jpeg"
        assert "immutable" in answers[0].headers["cache-control"]


@pytest.mark.parametrize("cached", [False, True])
async def test_conditions_and_ranges(site: Site, cached: bool) -> None:
    await site.place(KEY, PHOTO)
    async with site.project.client() as client:
        etag = (await client.head(URL)).headers["etag"]
        if cached:
            await client.get(URL)
        known = await client.get(URL, headers={"If-None-Match": etag})
        assert (known.status_code, known.content) == (304, b"")
        assert site.storage.cache.folder.exists() == cached, "to say so downloads nothing"
        part = await client.get(URL, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, PHOTO[10:20])
        assert part.headers["content-range"] == f"bytes 10-19/{len(PHOTO)}"
        tail = await client.get(URL, headers={"Range": "bytes=-5", "If-Range": etag})
        assert (tail.status_code, tail.content) == (206, PHOTO[-5:])
        beyond = await client.get(URL, headers={"Range": "bytes=999999-"})
        assert beyond.status_code == 416


async def test_a_hundred_at_once_are_one_download(site: Site) -> None:
    await site.place(KEY, PHOTO)
    async with site.project.client() as client:
        answers = await asyncio.gather(*(client.get(URL) for _ in range(100)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, PHOTO)}
    assert len(site.proxy.asked("GET")) == 1


async def test_missing_and_unreachable(site: Site) -> None:
    async with site.project.client() as client:
        assert (await client.get(URL)).status_code == 404
        await site.place(KEY, PHOTO)
        assert (await client.get(URL)).status_code == 200
        site.proxy.faults.append(Fault(times=10_000, refuse=(403, "SignatureDoesNotMatch")))
        assert (await client.get(URL)).status_code == 200, "what is cached is shown"
        wrong = await client.get("/static/uploads/photos/other.jpg")
        assert wrong.status_code == 500
        assert SECRET_KEY not in wrong.text


async def test_no_row_is_read(site: Site) -> None:
    await site.place(KEY, PHOTO)
    await site.project.runtime.database.dispose()
    (site.project.runtime.settings.upload_dir.parent / "t.db").unlink(missing_ok=True)
    async with site.project.client() as client:
        assert (await client.get(URL)).status_code == 200
        assert (await client.get(URL)).status_code == 200
    assert not (site.project.runtime.settings.upload_dir.parent / "t.db").exists()


async def test_what_the_platform_would_cut_is_a_redirect(site: Site) -> None:
    await site.place(KEY, BIG)
    async with site.project.client() as client, httpx.AsyncClient() as browser:
        answer = await client.get(URL)
        assert answer.status_code == 307
        assert answer.headers["cache-control"] == "no-store"
        there = answer.headers["location"]
        assert there.startswith(site.proxy.endpoint)
        assert (await browser.get(there)).content == BIG
        assert (await browser.get(there.partition("?")[0])).status_code in (400, 403)
        assert (await browser.get(there.replace(KEY, KEY.replace("0", "1")))).status_code == 403
        head = await client.head(URL)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(BIG)))
        part = await client.get(URL, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, BIG[5:10])
        policy = (await client.get("/login", headers={"Accept": "text/html"})).headers["content-security-policy"]
        assert f"img-src 'self' data: blob: {site.proxy.endpoint};" in policy
        assert f"connect-src 'self' {site.proxy.endpoint};" in policy


async def test_a_cdn(proxy: FaultProxy, tmp_path: Path) -> None:
    async with site_with(proxy, tmp_path, S3_CDN_URL="https://cdn.example/bucket") as site:
        assert site.storage.url("photos/é +#%41.jpg") == "https://cdn.example/bucket/photos/%C3%A9%20%2B%23%2541.jpg"
        await site.place(KEY, PHOTO)
        async with site.project.client() as client:
            assert (await client.get(URL)).content == PHOTO, "rows from before the CDN are served still"
            policy = (await client.get("/login", headers={"Accept": "text/html"})).headers["content-security-policy"]
        assert "https://cdn.example" in policy


async def test_what_operators_are_told(site: Site) -> None:
    await run_full_init(site.project.runtime)
    site.proxy.requests.clear()
    async with site.project.client() as client:
        health = (await client.get("/health")).json()
        assert health["checks"]["storage"]["status"] == "healthy", health
        assert {request.method for request in site.proxy.requests} <= {"HEAD", "GET"}
        debug = await client.get("/debug/leapcell", headers={"Authorization": "Bearer operations-token-of-the-tests"})
        assert debug.json()["object_storage_enabled"] is True
        site.proxy.faults.append(Fault(times=10_000, refuse=(403, "InvalidAccessKeyId")))
        site.clock.advance(1.1)  # an answer of the health check is shared for a second
        assert (await client.get("/health")).status_code == 503


@pytest.fixture
async def staff(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    await run_full_init(site.project.runtime)
    async with site.project.signed_in(password=PASSWORD) as client:
        yield client


async def announced(staff: httpx.AsyncClient, content: bytes, **wanted: Any) -> dict[str, Any]:
    answer = await staff.post("/api/uploads", json={"size": len(content), "content_type": "image/jpeg", **wanted})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    upload: dict[str, Any] = answer.json()
    return upload


async def put(upload: dict[str, Any], content: bytes, url: str | None = None, **headers: str) -> int:
    async with httpx.AsyncClient() as browser:
        answer = await browser.put(url or upload["url"], content=content, headers=upload["headers"] | headers)
        return answer.status_code


async def test_a_large_upload(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, BIG, name="Kyōto.jpeg", prefix="events/2026")
    assert upload["key"].startswith("events/2026/")
    assert upload["key"].endswith(".jpg")
    assert await put(upload, BIG) == 200
    for _ in range(2):  # an answer may get lost
        done = await staff.post(upload["complete"], json={"ticket": upload["ticket"]})
        assert done.status_code == 200, done.text
    assert done.json() == {
        "key": upload["key"],
        "url": f"/static/uploads/{upload['key']}",
        "size": len(BIG),
        "content_type": "image/jpeg",
    }
    assert (site.objects / upload["key"]).read_bytes() == BIG
    assert not site.storage.cache.folder.exists(), "it is not downloaded to be looked at"
    part = await staff.get(done.json()["url"], headers={"Range": "bytes=0-3"})
    assert part.content == BIG[:4]


async def test_what_the_signature_binds(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    other = upload["url"].replace(upload["key"], upload["key"].replace("files/", "photos/"))
    assert await put(upload, PHOTO + b"x") == 403
    assert await put(upload, PHOTO[:-1]) == 403
    assert await put(upload, PHOTO, **{"Content-Type": "text/html"}) == 403
    assert await put(upload, PHOTO, other) == 403
    assert not site.objects.joinpath(upload["key"]).exists()
    assert await put(upload, PHOTO) == 200


async def test_what_is_not_what_it_says_is_deleted(site: Site, staff: httpx.AsyncClient) -> None:
    page = b"<script>alert(1)</script>" + bytes(100)
    upload = await announced(staff, page)
    early = await staff.post(upload["complete"], json={"ticket": upload["ticket"]})
    assert early.status_code == 422
    assert await put(upload, page) == 200
    refused = await staff.post(upload["complete"], json={"ticket": upload["ticket"]})
    assert refused.status_code == 422
    assert not (site.objects / upload["key"]).exists()
    short = await announced(staff, PHOTO)
    await site.place(short["key"], PHOTO[:-1])
    assert (await staff.post(short["complete"], json={"ticket": short["ticket"]})).status_code == 422
    assert not (site.objects / short["key"]).exists()


async def test_what_is_never_completed_is_removed(site: Site, staff: httpx.AsyncClient) -> None:
    complete, sent, never_sent = [await announced(staff, PHOTO) for _ in range(3)]
    assert [await put(upload, PHOTO) for upload in (complete, sent)] == [200, 200]
    assert (await staff.post(complete["complete"], json={"ticket": complete["ticket"]})).status_code == 200
    storage = site.project.runtime.storage
    site.clock.advance(notes.ABANDONED_AFTER.total_seconds() - 60)
    assert await remove_abandoned(storage, clock=site.clock) == 0, "it may still be on its way"
    assert (site.objects / sent["key"]).exists()

    site.clock.advance(120)
    async with site.project.runtime.database.read() as session:
        assert await remove_leftovers(session, storage, clock=site.clock) == 2
    assert (site.objects / complete["key"]).exists()
    assert not (site.objects / sent["key"]).exists()
    assert await remove_abandoned(storage, clock=site.clock) == 0
    assert never_sent["key"] not in {file.key async for file in storage.list()}
    async with site.project.signed_in(password=PASSWORD) as late:
        for upload in (sent, complete):
            refused = await late.post(upload["complete"], json={"ticket": upload["ticket"]})
            assert (refused.status_code, "a day ago" in refused.text) == (422, True)


async def test_an_upload_may_be_completed_for_a_day(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    site.clock.advance(notes.COMPLETE_WITHIN.total_seconds() - 60)
    async with site.project.signed_in(password=PASSWORD) as later:
        done = await later.post(upload["complete"], json={"ticket": upload["ticket"]})
        assert done.status_code == 200, done.text
    site.clock.advance(120)
    async with site.project.signed_in(password=PASSWORD) as later:
        late = await later.post(upload["complete"], json={"ticket": upload["ticket"]})
        assert (late.status_code, "a day ago" in late.text) == (422, True)


async def test_what_could_not_be_noted_is_not_complete(site: Site, staff: httpx.AsyncClient, proxy: FaultProxy) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    proxy.faults = [Fault("DELETE", times=100, refuse=(403, "AccessDenied"))]
    assert (await staff.post(upload["complete"], json={"ticket": upload["ticket"]})).status_code == 500
    proxy.faults = []
    assert (await staff.post(upload["complete"], json={"ticket": upload["ticket"]})).status_code == 200
    proxy.faults = [Fault("PUT", times=100, refuse=(403, "AccessDenied"))]
    answer = await staff.post("/api/uploads", json={"size": 5, "content_type": "image/jpeg"})
    assert answer.status_code == 500


async def test_a_ticket_is_for_one_upload(site: Site, staff: httpx.AsyncClient) -> None:
    await site.place(KEY, b"somebody else's")
    upload = await announced(staff, PHOTO)
    for ticket in (upload["ticket"], upload["ticket"][:-1], "", "a.b", "null"):
        answer = await staff.post(f"/api/uploads/{KEY}/complete", json={"ticket": ticket})
        assert answer.status_code == 400
    assert (site.objects / KEY).exists()


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        ({"content_type": "text/html"}, 415),
        ({"content_type": "image/svg+xml"}, 415),
        ({"content_type": "", "name": "a.exe"}, 415),
        ({"content_type": "", "name": "a.PDF"}, 201),
        ({"content_type": "application/octet-stream", "name": "b.mp4"}, 201),
        ({"content_type": "text/csv; charset=latin1"}, 201),
        ({"size": 0}, 422),
        ({"size": MAX_SIZE + 1}, 422),
        ({"prefix": "../x"}, 400),
        ({"prefix": "/x"}, 400),
        ({"prefix": "x/"}, 400),
        ({"prefix": ".hidden"}, 400),
        ({"prefix": "a" * 65}, 400),
        ({"prefix": "backups"}, 400),
        ({"prefix": "backups/2026"}, 400),
    ],
)
async def test_what_may_be_announced(staff: httpx.AsyncClient, wanted: dict[str, Any], status: int) -> None:
    answer = await staff.post("/api/uploads", json={"size": 5, "content_type": "image/jpeg"} | wanted)
    assert answer.status_code == status, answer.text


async def test_only_staff_may(site: Site) -> None:
    await run_full_init(site.project.runtime)
    async with site.project.client() as client:
        assert (await client.post("/api/uploads", json={"size": 5})).status_code == 401
        assert (await client.post(f"/api/uploads/{KEY}/complete", json={"ticket": "x"})).status_code == 401


async def test_without_an_object_storage(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/t.db", tmp_path) as project:
        await run_full_init(project.runtime)
        async with project.signed_in() as staff:
            answer = await staff.post("/api/uploads", json={"size": 5, "content_type": "image/jpeg"})
    assert answer.status_code == 409
    assert "S3_BUCKET" in answer.text


async def test_the_quota_counts(proxy: FaultProxy, tmp_path: Path) -> None:
    async with site_with(proxy, tmp_path, S3_QUOTA_MB="1") as site:
        await run_full_init(site.project.runtime)
        async with site.project.signed_in(password=PASSWORD) as staff:
            answer = await staff.post("/api/uploads", json={"size": 2_000_000, "content_type": "image/jpeg"})
    assert answer.status_code == 507


@pytest.mark.parametrize(
    ("content_type", "head", "fits"),
    [
        ("image/jpeg", b"\xff\xd8\xff\xe1", True),
        ("image/jpeg", b"\x89PNG\r\n\x1a\n", False),
        ("image/png", b"\x89PNG\r\n\x1a\n", True),
        ("image/webp", b"RIFF\0\0\0\0WEBPVP8 ", True),
        ("image/webp", b"RIFF\0\0\0\0WAVEfmt ", False),
        ("image/gif", b"GIF89a", True),
        ("video/mp4", b"\0\0\0 ftypisom", True),
        ("application/pdf", b"%PDF-1.7", True),
        ("application/pdf", b"<html>", False),
        ("application/zip", b"PK\x03\x04", True),
        ("text/plain; charset=utf-8", "grüße".encode(), True),
        ("text/plain", "grüße".encode("latin1"), False),
        ("text/plain", b"a\0b", False),
        ("text/plain", b"a" * 4095 + "é".encode()[:1], True),
        ("application/json", b' {"a": 1}', True),
        ("application/json", b"<html>", False),
        ("application/json", b"", False),
        ("text/csv", b"", True),
        ("text/html", b"<html>", False),
        ("image/svg+xml", b"<svg>", False),
        ("application/octet-stream", b"anything", True),
    ],
)
def test_types_by_content(content_type: str, head: bytes, fits: bool) -> None:
    assert is_of_type(head, content_type) is fits
