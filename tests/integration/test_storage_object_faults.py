from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from fastopp.errors import FastOppError
from fastopp.storage.base import (
    ChecksumMismatch,
    FileMissing,
    QuotaExceeded,
    StorageFull,
    StorageMisconfigured,
    StorageUnavailable,
)
from fastopp.storage.object import ObjectStorage
from tests.integration.test_storage_object import open_bucket
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy
from tests.storage_conformance import KEY, listed, pieces, streamed

BIG = bytes(range(256)) * 4096 * 10  # 10 MiB: two parts
SMALL = b"hello" * 1000


@pytest.fixture
def proxy(rclone: RcloneServer) -> Iterator[FaultProxy]:
    with FaultProxy(rclone) as running:
        yield running


@pytest.fixture
def bucket(rclone: RcloneServer) -> str:
    return rclone.create_bucket()


@pytest.fixture
def storage(proxy: FaultProxy, bucket: str) -> ObjectStorage:
    return open_bucket(bucket, proxy.endpoint)


async def put(storage: ObjectStorage, data: bytes = SMALL) -> None:
    await storage.put(KEY, data, content_type="image/jpeg")


# What passes by itself is waited for.

PASSING = (
    Fault(refuse=(503, "SlowDown"), times=2),
    Fault(refuse=(500, "InternalError"), times=2),
    Fault(drop_upload=100, times=2),
    Fault(drop_download=0, times=2),
    Fault(delay=0.5, times=3),
    Fault(silent=True, times=1),
)


@pytest.mark.parametrize(
    ("fault", "data"),
    [*((fault, SMALL) for fault in PASSING), (PASSING[0], BIG), (PASSING[2], BIG)],
    ids=lambda value: str(value)[:90] if isinstance(value, Fault) else f"{len(value)} bytes",
)
async def test_passing_trouble_is_waited_out(
    storage: ObjectStorage, proxy: FaultProxy, fault: Fault, data: bytes
) -> None:
    def trouble(methods: str) -> None:
        proxy.faults = [Fault(**{**vars(fault), "methods": methods, "times": fault.times or 2})]

    was = fault.times
    trouble("PUT")
    await put(storage, data)
    trouble("GET")
    assert await storage.get(KEY) == data
    trouble("GET")
    assert await streamed(storage, KEY) == data
    trouble("HEAD")
    assert (await storage.head(KEY)).size == len(data)
    trouble("GET")
    assert list(await listed(storage, "photos/")) == [KEY]
    if not fault.silent:  # a DELETE without an answer is not repeated by obstore
        trouble("DELETE")
    await storage.delete(KEY)
    proxy.faults = []
    assert await listed(storage) == {}
    assert fault.times == was


async def test_a_download_goes_on_where_it_broke_off(storage: ObjectStorage, proxy: FaultProxy) -> None:
    await put(storage, BIG)
    proxy.faults = [Fault("GET", drop_download=3_000_000, times=2)]
    assert await streamed(storage, KEY) == BIG
    ranges = [request.headers.get("range") for request in proxy.requests if request.method == "GET"]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert ranges[1] == f"bytes=3000000-{len(BIG) - 1}"


# What does not pass ends in a sentence, in time, and nothing is torn.


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (Fault("PUT", refuse=(503, "SlowDown"), times=99), "fewer requests"),
        (Fault("PUT", refuse=(500, "InternalError"), times=99), "reports an internal error"),
        (Fault("PUT", drop_upload=100, times=99), "was interrupted"),
        (Fault("PUT", silent=True, times=99), "in time|was interrupted"),
    ],
    ids=["slow down", "internal error", "dropped", "black hole"],
)
@pytest.mark.parametrize("data", [SMALL, BIG], ids=["small", "big"])
async def test_lasting_trouble_is_an_error(
    storage: ObjectStorage, proxy: FaultProxy, rclone: RcloneServer, fault: Fault, sentence: str, data: bytes
) -> None:
    proxy.faults = [Fault(**vars(fault))]
    started = time.monotonic()
    with pytest.raises(StorageUnavailable, match=sentence):
        await put(storage, data)
    assert time.monotonic() - started < 30
    proxy.faults = []
    assert await listed(storage) == {}
    assert not [path for path in rclone.bucket(storage.bucket).rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "fault", [Fault("GET", drop_download=2_000_000, times=99), Fault("GET", silent=True, times=99)]
)
async def test_a_download_that_cannot_be_finished_is_an_error(
    storage: ObjectStorage, proxy: FaultProxy, fault: Fault
) -> None:
    await put(storage, BIG)
    proxy.faults = [Fault(**vars(fault))]
    with pytest.raises(StorageUnavailable):
        await streamed(storage, KEY)


async def test_nobody_there() -> None:
    storage = open_bucket("bucket", "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable, match="S3_ENDPOINT_URL"):
        await storage.get(KEY)
    with pytest.raises(StorageUnavailable, match="S3_ENDPOINT_URL"):
        await listed(storage)


# Refusals are not tried again, and name the variable.


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        ({"secret_key": "wrong-secret-key-0123456789"}, "S3_SECRET_KEY"),
        ({"access_key": "wrong-access-key-0123456789"}, "S3_ACCESS_KEY"),
        ({"bucket": "no-such-bucket"}, "S3_BUCKET"),
    ],
)
async def test_wrong_settings(
    proxy: FaultProxy, bucket: str, options: dict[str, str], variable: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_bucket(**{"bucket": bucket, "endpoint": proxy.endpoint, **options})
    for attempt in (put(storage), storage.get(KEY), streamed(storage, KEY), storage.head(KEY), listed(storage)):
        with pytest.raises(StorageMisconfigured, match=variable) as error:
            await attempt
        told = f"{error.value} {error.value!r} {storage!r} {error.value.__cause__!r} {caplog.text}"
        for secret in (ACCESS_KEY, SECRET_KEY, "wrong-secret", "wrong-access", "AWS4-HMAC"):
            assert secret not in told
    assert len(proxy.asked("PUT")) == 1


REFUSALS = (
    ((403, "RequestTimeTooSkewed"), StorageMisconfigured, "clock"),
    ((403, "AccessDenied"), StorageMisconfigured, "S3_ACCESS_KEY"),
    ((301, "PermanentRedirect"), StorageMisconfigured, "S3_REGION"),
    ((400, "AuthorizationHeaderMalformed"), StorageMisconfigured, "S3_REGION"),
    ((403, "Unheard"), StorageMisconfigured, "Unheard"),
    ((403, "QuotaExceeded"), QuotaExceeded, "quota"),
    ((507, "InsufficientStorage"), StorageFull, "room"),
    ((400, "BadDigest"), ChecksumMismatch, "received other data than was sent"),
)


@pytest.mark.parametrize(("refuse", "kind", "word"), REFUSALS)
async def test_refusals(
    storage: ObjectStorage, proxy: FaultProxy, refuse: tuple[int, str], kind: type[FastOppError], word: str
) -> None:
    proxy.faults = [Fault("PUT POST", refuse=refuse, times=99)]
    for data in (SMALL, BIG):
        with pytest.raises(kind, match=word):
            await put(storage, data)
    proxy.faults = []
    assert await listed(storage) == {}


async def test_a_listing_that_is_not_there_is_no_missing_file(storage: ObjectStorage, proxy: FaultProxy) -> None:
    proxy.faults = [Fault("GET", refuse=(404, "NotFound"), times=99)]
    with pytest.raises(StorageMisconfigured, match="S3_ENDPOINT_URL"):
        await listed(storage)


async def test_a_refused_head_says_why(storage: ObjectStorage, proxy: FaultProxy) -> None:
    proxy.faults = [Fault("HEAD GET", refuse=(403, "RequestTimeTooSkewed"), times=99)]
    with pytest.raises(StorageMisconfigured, match="clock"):
        await storage.head(KEY)


# Damage is found.


@pytest.mark.parametrize("data", [SMALL, BIG], ids=["small", "big"])
async def test_damage_on_the_way_there(storage: ObjectStorage, proxy: FaultProxy, data: bytes) -> None:
    proxy.faults = [Fault("PUT", corrupt_upload=True, times=99)]
    with pytest.raises(ChecksumMismatch):
        await put(storage, data)
    with pytest.raises(ChecksumMismatch):
        await storage.put(KEY, pieces(data), content_type="image/jpeg")
    proxy.faults = []
    assert await listed(storage) == {}
    proxy.faults = [Fault("PUT", corrupt_upload=True, times=1)]
    await put(storage)  # what came damaged once is sent once more
    assert await storage.get(KEY) == SMALL


@pytest.mark.parametrize("data", [SMALL, BIG], ids=["small", "big"])
async def test_damage_on_the_way_back(storage: ObjectStorage, proxy: FaultProxy, data: bytes) -> None:
    await put(storage, data)
    proxy.faults = [Fault("GET", corrupt_download=True, times=1)]
    assert await storage.get(KEY) == data
    proxy.faults = [Fault("GET", corrupt_download=True, times=1)]
    with pytest.raises(ChecksumMismatch):
        await streamed(storage, KEY)


@pytest.mark.parametrize("etag", ['"0123456789abcdef0123456789abcdef"', '"odd"', ""])
async def test_an_etag_that_is_no_checksum(storage: ObjectStorage, proxy: FaultProxy, etag: str) -> None:
    for data, methods in ((SMALL, "PUT GET HEAD"), (BIG, "GET HEAD")):  # without their ETags parts are lost
        proxy.faults = [Fault(methods, etag=etag, times=99)]
        await put(storage, data)
        assert await storage.get(KEY) == await streamed(storage, KEY) == data
    proxy.faults = [Fault("PUT", etag=etag, corrupt_upload=True, times=99)]
    with pytest.raises(ChecksumMismatch):
        await put(storage, b"other")
    assert await listed(storage) == {}


async def test_a_call_that_is_cancelled_ends_at_once(storage: ObjectStorage, proxy: FaultProxy) -> None:
    proxy.faults = [Fault("PUT GET HEAD DELETE", silent=True, times=99)]
    for attempt in (put(storage), storage.get(KEY), storage.head(KEY), storage.delete(KEY), listed(storage)):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(attempt, 0.2)
        assert time.monotonic() - started < 5


async def test_missing_is_missing(storage: ObjectStorage) -> None:
    with pytest.raises(FileMissing):
        await storage.presigned_get(KEY, expires=timedelta(minutes=1))
