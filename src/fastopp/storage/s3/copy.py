"""Copying within a bucket, on the condition that the source is what was checked. obstore copies without conditions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol
from urllib.parse import quote

from fastopp.errors import Conflict
from fastopp.storage.s3.errors import explained, refusal
from fastopp.storage.s3.signed_requests import send_signed

COPY_WITHIN = timedelta(minutes=10)  # after which the service refuses a copy that a frozen process sends late

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
_UNSUPPORTED = frozenset({405, 501})
_CHANGED = 412


class Sign(Protocol):
    """Signs a request, its headers included: the address to send it to."""

    def __call__(self, method: str, name: str, headers: Mapping[str, str], expires: timedelta) -> str:
        """Return the signed address of an object."""
        ...


class SourceChanged(Conflict):
    """The file was replaced while it was being checked."""

    hint = "Try again."


class CopyUnsupported(Exception):
    """The service does not copy objects."""


async def copy_object(bucket: str, sign: Sign, source: str, target: str, *, etag: str) -> None:
    """Copy an object if its ETag still is `etag`. Some services ignore the condition, so check the copy.

    Raises
    ------
    SourceChanged, CopyUnsupported, and what `explained` does.
    """
    headers = {"x-amz-copy-source": f"/{bucket}/{quote(source)}", "x-amz-copy-source-if-match": etag}
    with explained(bucket):
        address = sign("PUT", target, headers, COPY_WITHIN)
        answer = await send_signed("PUT", address, silence=COPY_WITHIN.total_seconds(), headers=headers)
    failure = OSError(f"status code: {answer.status_code} {answer.text}")
    code = refusal(failure).code
    if answer.status_code == _CHANGED or code == "PreconditionFailed":
        raise SourceChanged
    if answer.status_code in _UNSUPPORTED or code == "NotImplemented":
        raise CopyUnsupported
    with explained(bucket):
        if not answer.is_success or code:  # S3 may find an error after it has answered 200
            raise failure
    if "CopyObjectResult" not in answer.text:  # the header was ignored, and an empty object stored
        raise CopyUnsupported
