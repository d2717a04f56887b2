"""Translate errors of S3 and of the network into our words.

obstore reports a server's response only in the text of its exceptions. That text may hold what the server thinks
of our signature, so it goes nowhere: status and code are taken out of it, and the rest is dropped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from obstore.exceptions import BaseError

from fastopp.errors import FastOppError
from fastopp.storage.base import (
    ChecksumMismatch,
    FileMissing,
    InvalidKey,
    QuotaExceeded,
    StorageFull,
    StorageMisconfigured,
    StorageUnavailable,
)

logger = logging.getLogger(__name__)

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*(\w+)\s*</Code>")
_ADDRESS = re.compile(r"\w+://\S+")

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and what others answer.
_CLOCK = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})
_ACCESS_KEY = frozenset({"InvalidAccessKeyId", "InvalidAccessKey"})
_BUCKET = frozenset({"NoSuchBucket", "InvalidBucketName", "AllAccessDisabled"})
_REGION = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"})
_DAMAGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "InvalidDigest", "InvalidPart"})
_BAD_KEY = frozenset({"KeyTooLongError", "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName"})


class Refusal(NamedTuple):
    """The error of a server; both are empty when there was no response."""

    status: int
    code: str


def refusal(error: BaseException) -> Refusal:
    """The status and the S3 code in an exception of obstore."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    return Refusal(int(status[1]) if status else 0, code[1] if code else "")


@contextmanager
def explained(bucket: str) -> Iterator[None]:
    """Turn obstore's errors into ours. Raises FileMissing, StorageMisconfigured, QuotaExceeded and their like."""
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        answer = refusal(error)
        ours = _explanation(answer, str(error), bucket)
        if not isinstance(ours, FileMissing):
            logger.warning(
                "Object Storage: %s%s",
                ours.message,
                "" if answer.status else f" {_circumstances(str(error))}",
                extra={"s3_status": answer.status, "s3_code": answer.code},
            )
        raise ours from None  # the text may quote our signature


def _circumstances(text: str) -> str:
    """Return obstore's first line without addresses: the method, how long it took and after how many retries.

    For requests that no server answered, so that no response is quoted.
    """
    return "(" + _ADDRESS.sub("…", text.partition("\n")[0])[:200] + ")"


def _explanation(answer: Refusal, text: str, bucket: str) -> FastOppError:
    status, code = answer.status, answer.code
    if status == 404 and code not in _BUCKET and code != "NoSuchUpload":
        return FileMissing()
    if code in _BAD_KEY or (not status and "InvalidPath" in text):
        return InvalidKey()
    if code in _DAMAGED:
        return ChecksumMismatch()
    if "Quota" in code:
        return QuotaExceeded()
    if status == 507 or "StorageFull" in code or "InsufficientStorage" in code:
        return StorageFull()
    if "redirect without LOCATION" in text:  # which is how a bucket of another region answers
        code = "PermanentRedirect"
    if code == "PermanentRedirect" or (status in (400, 401, 403, 404) and code != "NoSuchUpload"):
        return _misconfigured(code, bucket) or _refused(answer)
    return _unavailable(answer, text)


def _misconfigured(code: str, bucket: str) -> StorageMisconfigured | None:
    message = hint = ""
    if code in _BUCKET:
        message = f"The Object Storage has no bucket named “{bucket}”."
        hint = "Set S3_BUCKET to the name that the dashboard shows, and S3_ENDPOINT_URL to the service it is in."
    elif code in _ACCESS_KEY:
        message = "The Object Storage does not know the access key."
        hint = "Set S3_ACCESS_KEY to the one that the dashboard shows for this bucket."
    elif code == "SignatureDoesNotMatch":
        message = "The Object Storage does not accept the secret key."
        hint = "Set S3_SECRET_KEY to the one that belongs to S3_ACCESS_KEY, whole and without spaces; check S3_REGION."
    elif code in _CLOCK:
        message = "The clock of this machine is not that of the Object Storage."
        hint = "Set the clock: more than 15 minutes apart, every request is refused."
    elif code in _REGION:
        message = "The bucket is in another region."
        hint = "Set S3_REGION to the region of the bucket."
    elif code in ("AccessDenied", "Forbidden", "AccountProblem"):
        message = "The Object Storage does not let this access key do that."
        hint = f"Let S3_ACCESS_KEY list, read, write and delete in the bucket “{bucket}”, or set S3_BUCKET to another."
    return StorageMisconfigured(message, hint=hint) if message else None


def _refused(answer: Refusal) -> StorageMisconfigured:
    return StorageMisconfigured(
        f"The Object Storage refuses the request ({answer.code or f'status {answer.status}'}).",
        hint="Check S3_ENDPOINT_URL, S3_BUCKET, S3_REGION, S3_ACCESS_KEY and S3_SECRET_KEY.",
    )


def _unavailable(answer: Refusal, text: str) -> StorageUnavailable:
    if answer.code == "SlowDown" or answer.status == 429:
        return StorageUnavailable("The Object Storage asks for fewer requests.", hint="Try again in a while.")
    if answer.status:
        return StorageUnavailable(f"The Object Storage reports an internal error (status {answer.status}).")
    if "dns error" in text or "ConnectionRefused" in text or "InvalidCertificate" in text or "InvalidUri" in text:
        return StorageUnavailable(
            "The Object Storage cannot be reached.", hint="If it stays so, check S3_ENDPOINT_URL and the network."
        )
    if "Timeout" in text or "TimedOut" in text:
        return StorageUnavailable("The Object Storage does not answer in time.")
    return StorageUnavailable("The connection to the Object Storage was interrupted.")
