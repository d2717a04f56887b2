"""The errors of a storage of uploaded files."""

from __future__ import annotations

from fastopp.errors import BadRequest, Conflict, FastOppError, NotFound, Unavailable


class FileMissing(NotFound):
    """There is no such file."""


class InvalidKey(BadRequest):
    """That is not the name of an uploaded file."""


class StorageFull(FastOppError):
    """There is no room left for uploaded files."""

    status = 507
    hint = "Delete what is not needed, or give the storage more room."


class QuotaExceeded(StorageFull):
    """The storage has reached the quota of its plan."""


class StorageUnavailable(Unavailable):
    """The storage of uploaded files does not answer at the moment."""


class StorageMisconfigured(FastOppError):
    """The storage of uploaded files is misconfigured."""

    # Bucket, keys, address or clock: `hint` names the variable. To try again does not help.


class ChecksumMismatch(FastOppError):
    """The storage received other data than was sent."""

    status = 502
    hint = "Send the file again."


class NoDirectTransfer(Conflict):
    """This storage cannot be reached by browsers directly."""

    hint = "Send the file to this application, or set S3_ACCESS_KEY, S3_SECRET_KEY and S3_BUCKET."
