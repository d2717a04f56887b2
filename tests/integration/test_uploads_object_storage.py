"""Uploaded files over HTTP, as on LeapCell: an S3 server behind a cache."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import httpx
import pytest

from fastopp.features.setup.seeding import run_full_init
from fastopp.storage import announced as notes
from fastopp.storage import deadlines
from fastopp.storage.base import StoredFile
from fastopp.storage.direct_uploads import MAX_SIZE
from fastopp.storage.file_types import is_of_type
from fastopp.storage.object import ObjectStorage
from fastopp.storage.tiered import TieredStorage
from fastopp.testing import ManualClock
from tests.services.databases import Templates
from tests.services.files import age_evidence, sweep
from tests.services.files import evidence as recorded
from tests.services.ops_project import PRODUCTION, QUIET, Project, running
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
    own = LEAPCELL | QUIET | {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": proxy.endpoint} | environ
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


async def with_superuser(url: str, folder: Path) -> None:
    """Fill a template with the tables and the first superuser."""
    async with running(url, folder, PRODUCTION | {"SUPERUSER_PASSWORD": PASSWORD}) as project:
        await run_full_init(project.runtime)


@pytest.fixture
async def staff(site: Site, templates: Templates, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    with templates.copied("sqlite", tmp_path / "made", with_superuser):
        (tmp_path / "made/test.db").rename(tmp_path / "t.db")
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


def staged(site: Site, upload: dict[str, Any]) -> Path:
    """Where a file is before it has been checked."""
    return site.objects / "backups/staging" / upload["key"]


async def completed(staff: httpx.AsyncClient, upload: dict[str, Any]) -> httpx.Response:
    return await staff.post(upload["complete"], json={"ticket": upload["ticket"]})


async def evidence(site: Site) -> dict[str, str]:
    return await recorded(site.project.runtime)


async def test_a_large_upload(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, BIG, name="Kyōto.jpeg", prefix="events/2026")
    assert upload["key"].startswith("events/2026/")
    assert upload["key"].endswith(".jpg")
    assert await put(upload, BIG) == 200
    for _ in range(2):  # an answer may get lost
        done = await completed(staff, upload)
        assert done.status_code == 200, done.text
    assert done.json() == {
        "key": upload["key"],
        "url": f"/static/uploads/{upload['key']}",
        "size": len(BIG),
        "content_type": "image/jpeg",
    }
    assert (site.objects / upload["key"]).read_bytes() == BIG
    assert not staged(site, upload).exists()
    assert not site.storage.cache.folder.exists(), "it is not downloaded to be looked at"
    part = await staff.get(done.json()["url"], headers={"Range": "bytes=0-3"})
    assert part.content == BIG[:4]


async def test_what_is_not_complete_is_not_served(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    for key in (upload["key"], f"backups/staging/{upload['key']}", f"uploads/backups/staging/{upload['key']}"):
        for method in ("GET", "HEAD"):
            assert (await staff.request(method, f"/static/uploads/{key}")).status_code == 404, key
    assert (await completed(staff, upload)).status_code == 200
    assert (await staff.get(f"/static/uploads/{upload['key']}")).content == PHOTO


async def test_what_is_sent_after_complete_changes_nothing(site: Site, staff: httpx.AsyncClient) -> None:
    upload, other = await announced(staff, PHOTO), PHOTO[:100] + bytes(len(PHOTO) - 100)
    assert await put(upload, PHOTO) == 200
    assert (await completed(staff, upload)).status_code == 200
    assert await put(upload, other) == 200, "the address holds still"
    assert (await staff.get(f"/static/uploads/{upload['key']}")).content == PHOTO
    assert (await completed(staff, upload)).status_code == 200, "it is complete already"
    assert (site.objects / upload["key"]).read_bytes() == PHOTO
    await age_evidence(site.project.runtime)
    await sweep(site.project.runtime)
    assert not staged(site, upload).exists()
    assert (site.objects / upload["key"]).read_bytes() == PHOTO
    assert await evidence(site) == {}


async def test_what_is_replaced_while_it_is_checked_is_not_taken(
    site: Site, staff: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server of the tests ignores the condition of a copy, as others may: the copy is checked."""
    upload, page = await announced(staff, PHOTO), b"<script>" + bytes(len(PHOTO) - 8)
    copy = ObjectStorage.copy

    async def replaced(storage: ObjectStorage, source: str, target: str, *, etag: str) -> StoredFile:
        assert await put(upload, page) == 200
        return await copy(storage, source, target, etag=etag)

    assert await put(upload, PHOTO) == 200
    monkeypatch.setattr(ObjectStorage, "copy", replaced)
    assert (await completed(staff, upload)).status_code in (409, 422)
    assert (await staff.get(f"/static/uploads/{upload['key']}")).status_code == 404
    assert not (site.objects / upload["key"]).exists()
    monkeypatch.setattr(ObjectStorage, "copy", copy)
    assert await put(upload, PHOTO) == 200
    assert (await completed(staff, upload)).status_code == 200, "sent again, as it is"


async def test_what_is_another_file_only_while_it_is_checked_is_not_taken(
    site: Site, staff: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, page = await announced(staff, PHOTO), b"<script>" + bytes(len(PHOTO) - 8)
    stream = ObjectStorage.stream

    async def swapped(storage: ObjectStorage, key: str, **part: int | None) -> AsyncIterator[bytes]:
        if key.startswith("backups/staging/"):
            assert await put(upload, PHOTO) == 200
        async for piece in stream(storage, key, **part):
            yield piece
        if key.startswith("backups/staging/"):
            assert await put(upload, page) == 200

    assert await put(upload, page) == 200
    monkeypatch.setattr(ObjectStorage, "stream", swapped)
    assert (await completed(staff, upload)).status_code == 422
    assert not (site.objects / upload["key"]).exists()
    assert (await staff.get(f"/static/uploads/{upload['key']}")).status_code == 404


async def test_a_service_that_heeds_the_condition_of_a_copy(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    site.proxy.requests.clear()
    site.proxy.faults = [Fault("PUT", times=1, refuse=(412, "PreconditionFailed"))]
    assert (await completed(staff, upload)).status_code == 409
    [copy] = [request for request in site.proxy.requests if request.method == "PUT"]
    headers = {name.lower(): value for name, value in copy.headers.items()}
    assert headers["x-amz-copy-source-if-match"] == f'"{md5(PHOTO).hexdigest()}"'
    assert headers["x-amz-copy-source"] == f"/{site.bucket}/backups/staging/{upload['key']}"
    assert "x-amz-copy-source%3Bx-amz-copy-source-if-match" in copy.path, "both are signed"
    assert (await completed(staff, upload)).status_code == 200


async def test_a_service_that_does_not_copy(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, BIG)
    assert await put(upload, BIG) == 200
    site.proxy.faults = [Fault("PUT", times=1, refuse=(501, "NotImplemented"))]
    assert (await completed(staff, upload)).status_code == 200
    assert (site.objects / upload["key"]).read_bytes() == BIG


async def test_what_the_signature_binds(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    other = upload["url"].replace(upload["key"], upload["key"].replace("files/", "photos/"))
    final = upload["url"].replace(f"backups/staging/{upload['key']}", upload["key"])
    assert await put(upload, PHOTO + b"x") == 403
    assert await put(upload, PHOTO[:-1]) == 403
    assert await put(upload, PHOTO, **{"Content-Type": "text/html"}) == 403
    assert await put(upload, PHOTO, other) == 403
    assert await put(upload, PHOTO, final) == 403
    assert not staged(site, upload).exists()
    assert await put(upload, PHOTO) == 200
    assert staged(site, upload).exists()


async def test_what_is_not_what_it_says_is_deleted(site: Site, staff: httpx.AsyncClient) -> None:
    page = b"<script>alert(1)</script>" + bytes(100)
    upload = await announced(staff, page)
    assert (await completed(staff, upload)).status_code == 422
    assert await put(upload, page) == 200
    assert (await completed(staff, upload)).status_code == 422
    assert not staged(site, upload).exists()
    assert await put(upload, page) == 200, "sent again, it is swept"
    short = await announced(staff, PHOTO)
    await site.place(f"backups/staging/{short['key']}", PHOTO[:-1])
    assert (await completed(staff, short)).status_code == 422
    assert not staged(site, short).exists()
    await age_evidence(site.project.runtime)
    await sweep(site.project.runtime)
    assert not staged(site, upload).exists()
    assert await evidence(site) == {}
    assert (await completed(staff, upload)).status_code == 422


async def test_what_is_never_completed_is_removed(site: Site, staff: httpx.AsyncClient) -> None:
    complete, sent, never_sent = [await announced(staff, PHOTO) for _ in range(3)]
    assert [await put(upload, PHOTO) for upload in (complete, sent)] == [200, 200]
    assert (await completed(staff, complete)).status_code == 200
    site.clock.advance(notes.ABANDONED_AFTER.total_seconds() - 60)
    assert await sweep(site.project.runtime) == 0, "it may still be on its way"
    assert staged(site, sent).exists()

    site.clock.advance(120)
    assert await sweep(site.project.runtime) == 2
    assert (site.objects / complete["key"]).exists()
    assert not staged(site, sent).exists()
    assert await sweep(site.project.runtime) == 0
    assert await evidence(site) == {}
    assert never_sent["key"] not in {file.key async for file in site.storage.list()}
    async with site.project.signed_in(password=PASSWORD) as late:
        for upload in (sent, complete):
            refused = await completed(late, upload)
            assert (refused.status_code, "a day ago" in refused.text) == (422, True)


async def test_an_upload_may_be_completed_for_a_day(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    site.clock.advance(notes.COMPLETE_WITHIN.total_seconds() - 60)
    async with site.project.signed_in(password=PASSWORD) as later:
        done = await completed(later, upload)
        assert done.status_code == 200, done.text
    site.clock.advance(120)
    async with site.project.signed_in(password=PASSWORD) as later:
        late = await completed(later, upload)
        assert (late.status_code, "a day ago" in late.text) == (422, True)


async def test_a_staged_file_that_cannot_be_removed_is_swept(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    site.proxy.faults = [Fault("DELETE", times=100, refuse=(403, "AccessDenied"))]
    assert (await completed(staff, upload)).status_code == 200
    site.proxy.faults = []
    assert staged(site, upload).exists()
    await age_evidence(site.project.runtime)
    await sweep(site.project.runtime)
    assert not staged(site, upload).exists()


async def test_one_request_completes_an_upload_at_a_time(
    site: Site, staff: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload, copying, go_on = await announced(staff, PHOTO), asyncio.Event(), asyncio.Event()
    copy = ObjectStorage.copy

    async def slow(storage: ObjectStorage, source: str, target: str, *, etag: str) -> StoredFile:
        copying.set()
        await go_on.wait()
        return await copy(storage, source, target, etag=etag)

    assert await put(upload, PHOTO) == 200
    monkeypatch.setattr(ObjectStorage, "copy", slow)
    first = asyncio.create_task(completed(staff, upload))
    await copying.wait()
    second = await completed(staff, upload)
    assert (second.status_code, "retry-after" in second.headers) == (409, True)
    site.clock.advance(notes.LEASE.total_seconds() + 1)  # the first one takes longer than its lease
    monkeypatch.setattr(ObjectStorage, "copy", copy)
    assert (await completed(staff, upload)).status_code == 200
    go_on.set()
    assert (await first).status_code == 422, "it finds nothing to copy any more"
    assert (site.objects / upload["key"]).read_bytes() == PHOTO


async def test_a_large_file_has_more_time_to_be_copied(
    site: Site, staff: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    monkeypatch.setattr(deadlines, "UPLOAD", 0.3)
    site.proxy.faults = [Fault("PUT", times=2, delay=1.0)]
    slow = await completed(staff, upload)
    assert (slow.status_code, "0.3" in slow.text) == (503, True), "not a large file"
    monkeypatch.setattr(deadlines, "COPY_SPEED", len(PHOTO) / 20)  # and now it is one
    assert (await completed(staff, upload)).status_code == 200


async def test_an_outage_while_an_upload_is_completed(site: Site, staff: httpx.AsyncClient) -> None:
    upload = await announced(staff, PHOTO)
    assert await put(upload, PHOTO) == 200
    site.proxy.faults = [Fault("PUT", times=100, refuse=(403, "AccessDenied"))]
    assert (await completed(staff, upload)).status_code == 500
    site.proxy.faults = []
    assert (await completed(staff, upload)).status_code == 200


async def test_what_one_account_may_have_announced(proxy: FaultProxy, tmp_path: Path) -> None:
    async with site_with(proxy, tmp_path, S3_QUOTA_MB="0", S3_QUOTA_FILES="0", DIRECT_UPLOADS_MAX="4") as site:
        await run_full_init(site.project.runtime)
        async with site.project.signed_in(password=PASSWORD) as staff:

            async def announce(size: int) -> httpx.Response:
                return await staff.post("/api/uploads", json={"size": size, "content_type": "image/jpeg"})

            huge = await asyncio.gather(*(announce(MAX_SIZE) for _ in range(6)))
            assert sorted(answer.status_code for answer in huge) == [201] * 3 + [429] * 3
            refused = next(answer for answer in huge if answer.status_code == 429)
            assert "DIRECT_UPLOADS_MAX" in refused.json()["hint"]
            small = await announce(len(PHOTO))
            assert small.status_code == 201
            assert (await announce(1)).status_code == 429, "four are four"
            assert await put(small.json(), PHOTO) == 200
            assert (await completed(staff, small.json())).status_code == 200
            assert (await announce(1)).status_code == 201, "what is complete counts no longer"
            await age_evidence(site.project.runtime)
            assert (await announce(MAX_SIZE)).status_code == 201, "nor what is abandoned"


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
