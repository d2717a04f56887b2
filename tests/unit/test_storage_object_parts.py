"""The parts of ObjectStorage that need no server."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopp.storage.base import (
    ChecksumMismatch,
    FileMissing,
    InvalidKey,
    PresignedUpload,
    QuotaExceeded,
    StorageFull,
    StorageMisconfigured,
    StorageUnavailable,
)
from fastopp.storage.checksums import PART_SIZE, ContentDigest
from fastopp.storage.keys import is_key
from fastopp.storage.s3.errors import Refusal, explained, refusal
from fastopp.storage.s3.names import ObjectNames, may_be_encoded
from fastopp.storage.s3.presigned import presign
from fastopp.storage.s3.quota import RECOUNT_AFTER, Quota, QuotaGuard, Usage
from fastopp.testing import ManualClock


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_an_etag_tells_the_content() -> None:
    digest = ContentDigest(b"hello")
    assert digest.matches(f'"{md5(b"hello")}"') is digest.matches(md5(b"hello")) is True
    assert digest.matches(md5(b"other")) is False
    for silent in ("", "odd", f"{md5(b'other')}-2"):
        assert digest.matches(silent) is None


@pytest.mark.parametrize("size", [PART_SIZE - 1, PART_SIZE, PART_SIZE + 1, 2 * PART_SIZE, 2 * PART_SIZE + 5])
@pytest.mark.parametrize("piece", [1_000_003, PART_SIZE, 3 * PART_SIZE])
def test_an_etag_of_parts(size: int, piece: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]
    digest = ContentDigest()
    for start in range(0, size, piece):
        digest.update(data[start : start + piece])
    parts = [data[start : start + PART_SIZE] for start in range(0, size, PART_SIZE)]
    etag = f"{md5(b''.join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts))}-{len(parts)}"
    assert digest.matches(etag)
    assert digest.matches(md5(data))
    assert digest.size == size


KEYS = st.text(min_size=1, max_size=20).filter(is_key)


@given(KEYS, KEYS, st.sampled_from(["", "one", "one/two/"]))
def test_no_object_stands_for_two_files(key: str, other: str, prefix: str) -> None:
    names = ObjectNames(prefix)
    for one in (key, f"uploads/{key}"):
        assert names.key(names.name(one)) == (one, False)
        assert names.name(one) == names.names(one)[0]
    assert key == other or names.name(key) != names.name(other)


def test_legacy_names() -> None:
    names = ObjectNames()
    assert names.names("photos/a.jpg") == ("photos/a.jpg", "uploads/photos/a.jpg")
    assert names.key("uploads/photos/a.jpg") == ("photos/a.jpg", True)
    assert names.names("x" * 1020) == ("x" * 1020,)  # the legacy name would be too long to exist
    for stranger in ("photos/../a", "uploads/", "photos/.hidden"):
        assert names.key(stranger) is None
    assert ObjectNames("one").key("photos/a.jpg") is None


def test_which_names_may_be_encoded() -> None:
    assert may_be_encoded("photos%2Fa.jpg")
    for plain in ("a.jpg", "photos/a%2fb.jpg", "100%.jpg"):
        assert not may_be_encoded(plain)


def test_a_signature_as_aws_documents_it() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html, the example
    url = presign(
        "GET",
        "https://examplebucket.s3.amazonaws.com/test.txt",
        headers={},
        region="us-east-1",
        access_key="AKIAIOSFODNN7EXAMPLE",
        secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        expires=timedelta(days=1),
        now=datetime(2013, 5, 24, tzinfo=UTC),
    )
    assert url.endswith("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404")


def test_a_presigned_upload_does_not_show_its_signature() -> None:
    assert "secret" not in repr(PresignedUpload("https://host/key?X-Amz-Signature=secret", {}))


def answer(status: int, code: str) -> str:
    return f"… - Server returned non-2xx status code: {status} Whatever: <Error><Code>{code}</Code><StringToSign>hush"


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        (answer(404, "NoSuchKey"), FileMissing, "."),
        (answer(404, "NoSuchBucket"), StorageMisconfigured, "S3_BUCKET"),
        (answer(403, "InvalidAccessKeyId"), StorageMisconfigured, "S3_ACCESS_KEY"),
        (answer(403, "SignatureDoesNotMatch"), StorageMisconfigured, "S3_SECRET_KEY"),
        (answer(403, "RequestTimeTooSkewed"), StorageMisconfigured, "clock"),
        (answer(403, "AccessDenied"), StorageMisconfigured, "S3_ACCESS_KEY"),
        (answer(400, "KeyTooLongError"), InvalidKey, "."),
        (answer(403, "QuotaExceeded"), QuotaExceeded, "quota"),
        (answer(507, ""), StorageFull, "room"),
        (answer(400, "BadDigest"), ChecksumMismatch, "."),
        (answer(404, "NoSuchUpload"), StorageUnavailable, "."),
        (answer(503, "SlowDown"), StorageUnavailable, "fewer"),
        ("kind: Timeout", StorageUnavailable, "in time"),
        ("dns error", StorageUnavailable, "S3_ENDPOINT_URL"),
        ("anything", StorageUnavailable, "was interrupted"),
    ],
)
def test_errors_are_told_in_our_words(text: str, kind: type[Exception], word: str) -> None:
    with pytest.raises(kind, match=word) as raised, explained("bucket"):
        raise ValueError(text)
    assert type(raised.value) is kind
    assert "hush" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_what_a_server_answered() -> None:
    assert refusal(ValueError(answer(503, "SlowDown"))) == Refusal(503, "SlowDown")
    assert refusal(ValueError("no answer")) == Refusal(0, "")


def test_a_quota_tells_only_the_limits_that_it_has() -> None:
    assert str(Quota(files=5000, size=100_000_000)) == "5,000 files and 100 MB"
    assert str(Quota(files=math.inf, size=100_000_000)) == "100 MB"
    assert str(Quota(files=5000, size=math.inf)) == "5,000 files"
    assert Quota(files=4, size=math.inf).share(Usage(files=2, size=10**12)) == 0.5


async def test_a_quota_counts_what_is_sent() -> None:
    counted: list[int] = []

    async def count() -> Usage:
        counted.append(1)
        return Usage(files=2, size=50)

    guard = QuotaGuard(Quota(files=4, size=100), count)
    async with guard.room() as room:
        room.grow(50)
    with pytest.raises(QuotaExceeded, match="S3_QUOTA_MB"):
        async with guard.room() as room:
            room.grow(1)
    assert counted == [1]
    with pytest.raises(ConnectionError):
        async with guard.room() as room:  # what fails gives its room back
            raise ConnectionError
    async with guard.room():
        pass
    async with guard.room():  # at the cap it looks again, since others may have deleted
        pass
    assert counted == [1, 1]


async def test_a_quota_is_counted_again_after_a_while() -> None:
    counted: list[int] = []

    async def count() -> Usage:
        counted.append(1)
        return Usage(files=2, size=50)

    clock = ManualClock()
    guard = QuotaGuard(Quota(files=100, size=10_000), count, clock=clock)
    for seconds, times in ((0.0, 1), (RECOUNT_AFTER, 1), (1.0, 2), (1.0, 2)):
        clock.advance(seconds)
        async with guard.room():
            pass
        assert len(counted) == times
