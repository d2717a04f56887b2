"""The interface of a storage of uploaded files, and its errors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol, runtime_checkable

from fastopp.errors import BadRequest, FastOppError, NotFound, Unavailable


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


class StoredFile(NamedTuple):
    """A file in a storage."""

    key: str
    size: int
    """Bytes."""
    etag: str
    """With its quotes, as HTTP sends it. Another content has another one."""
    content_type: str
    modified: datetime
    """When it was stored, in UTC."""


@runtime_checkable
class Storage(Protocol):
    """Uploaded files by key, like `photos/4f…a1.jpg`; see `fastopp.storage.keys` for what a key may be.

    Every method that takes a key raises InvalidKey for a bad one, and StorageUnavailable when the storage
    cannot be reached or does not let us in. A file is always either complete or absent.
    """

    async def put(
        self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str, checksum: str | None = None
    ) -> StoredFile:
        """Store a file, durably when this returns, in place of any that is there.

        Parameters
        ----------
        checksum: MD5 of the whole content in lower-case hexadecimal, if known beforehand. MD5, since that is
            what S3 gives back (ETag) and lists; it finds damage, it does not keep out an attacker.

        Raises
        ------
        StorageFull when there is no room, ChecksumMismatch when what arrived is not what was sent or has
        another checksum than the one given. Then, as after any other failure, there is no half a file.
        """
        ...

    async def get(self, key: str) -> bytes:
        """The whole file. Raises FileMissing."""
        ...

    def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end` (None: all the rest), in pieces.

        Raises FileMissing when the first piece is asked for. Beyond the end of the file there is nothing.
        """
        ...

    async def head(self, key: str) -> StoredFile:
        """Return a file's metadata without reading it. Raises FileMissing."""
        ...

    def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """The files whose key begins with `prefix`, in no particular order, found as they are asked for."""
        ...

    async def delete(self, key: str) -> None:
        """Remove a file; it is no error if there is none."""
        ...

    def url(self, key: str) -> str:
        """The address from which a browser gets the file."""
        ...


class PresignedUpload(NamedTuple):
    """The data for a browser to PUT one file directly into the storage. The URL contains the signature: a secret."""

    url: str
    headers: Mapping[str, str]
    """To send along exactly as they are; `Content-Length` is signed too, browsers set it themselves."""

    def __repr__(self) -> str:
        return f"PresignedUpload(url={self.url.partition('?')[0]!r}, headers={dict(self.headers)!r})"


@runtime_checkable
class PresigningStorage(Protocol):
    """A storage that browsers can talk to directly, for files over the platform's body limits."""

    async def presigned_get(self, key: str, *, expires: timedelta) -> str:
        """An address at which anyone may read this file until it expires. It need not be there."""
        ...

    async def presigned_put(self, key: str, *, size: int, content_type: str, expires: timedelta) -> PresignedUpload:
        """Leave to store one file: this key, exactly this many bytes, this content type, until it expires."""
        ...

    async def copy(self, source: str, target: str, *, etag: str) -> StoredFile:
        """Copy a file within the storage if its ETag is `etag`, and return what arrived.

        Not every service heeds the condition: where the ETag of the copy is another one, check the copy.

        Raises
        ------
        FileMissing; SourceChanged of `fastopp.storage.s3.copy`.
        """
        ...


@runtime_checkable
class PromptStorage(Protocol):
    """A storage that can be asked from a worker thread, which is cheaper for many small files."""

    def prepare(self) -> None:
        """Prepare `read_promptly` once. Blocks, but uses no network."""
        ...

    def read_promptly(self, key: str) -> memoryview | None:
        """The whole of a small file, undamaged; None for any trouble: then `get` does it, and says what is wrong.

        Blocks, but not for longer than some seconds: nothing is tried twice.
        """
        ...
