"""The interface of a storage of uploaded files, with the errors and types that an implementation uses."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from fastopp.storage.errors import (
    ChecksumMismatch,
    FileMissing,
    InvalidKey,
    NoDirectTransfer,
    QuotaExceeded,
    StorageFull,
    StorageMisconfigured,
    StorageUnavailable,
)
from fastopp.storage.keys import url_of
from fastopp.storage.recorded import add_to_work
from fastopp.storage.stored_file import OpenedFile, StoredFile

if TYPE_CHECKING:
    from fastopp.storage.cache.file_cache import FileCache  # which few processes need

__all__ = [
    "ChecksumMismatch",
    "FileMissing",
    "InvalidKey",
    "NoDirectTransfer",
    "OpenedFile",
    "PresignedUpload",
    "QuotaExceeded",
    "Storage",
    "StorageFull",
    "StorageMisconfigured",
    "StorageUnavailable",
    "StoredFile",
]

PAGE = 1000  # files in a page of a listing, as S3 has it
PROBE = "health/probe.txt"  # a file that does not exist


class PresignedUpload(NamedTuple):
    """The data for a browser to PUT one file directly into the storage. The URL contains the signature: a secret."""

    url: str
    headers: Mapping[str, str]
    """To send along exactly as they are; `Content-Length` is signed too, browsers set it themselves."""

    def __repr__(self) -> str:
        return f"PresignedUpload(url={self.url.partition('?')[0]!r}, headers={dict(self.headers)!r})"


class Storage(ABC):
    """Uploaded files by key, like `photos/4f…a1.jpg`; see `fastopp.storage.keys` for what a key may be.

    A storage implements the abstract methods. The others work for any storage; override what yours does better.

    Every method that takes a key raises InvalidKey for a bad one, and StorageUnavailable when the storage
    cannot be reached or does not let us in. A file is always either complete or absent.
    """

    addresses: tuple[str, ...] = ()
    """Other addresses at which browsers get the files, or did: see `fastopp.storage.addresses`."""

    cache: FileCache | None = None
    """The cache of this instance, in front of `durable`."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        add_to_work(cls)

    @property
    def durable(self) -> Storage:
        """The storage behind the cache, which would keep what is read once; without a cache, this one."""
        return self

    @abstractmethod
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

    @abstractmethod
    def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `end` (None: all the rest), in pieces.

        Raises FileMissing when the first piece is asked for. Beyond the end of the file there is nothing.
        """

    @abstractmethod
    async def head(self, key: str) -> StoredFile:
        """Return a file's metadata without reading it. Raises FileMissing."""

    @abstractmethod
    def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """The files whose key begins with `prefix`, in no particular order, found as they are asked for."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove a file; it is no error if there is none."""

    def url(self, key: str) -> str:
        """The address from which a browser gets the file: by default this application's."""
        return url_of(key)

    async def get(self, key: str) -> bytes:
        """The whole file. Raises FileMissing."""
        return b"".join([piece async for piece in self.stream(key)])

    async def open(self, key: str) -> OpenedFile:
        """Find a file for reading. Raises FileMissing."""
        file = await self.head(key)
        return OpenedFile(file, lambda start, end: self.stream(key, start=start, end=end))

    async def pages(
        self,
        *,
        refused: Callable[[str], None] | None = None,
    ) -> AsyncGenerator[builtins.list[StoredFile]]:
        """The files of `list`, up to 1,000 at a time.

        Parameters
        ----------
        refused: called with names that no file can have, like `../x`; perhaps more than once.
        """
        page: list[StoredFile] = []
        async for file in self.list():
            page.append(file)
            if len(page) == PAGE:
                yield page
                page = []
        yield page

    def prepare(self) -> None:  # noqa: B027 - nothing to prepare
        """Prepare `read_promptly` once. Blocks, but uses no network."""

    def read_promptly(self, key: str) -> memoryview | None:
        """The whole of a small file, undamaged; None for any trouble: then `get` does it, and says what is wrong.

        Called from a worker thread, which is cheaper for many small files. Blocks, but not for longer than some
        seconds: nothing is tried twice.
        """
        return None

    async def presigned_get(self, key: str, *, expires: timedelta) -> str:
        """An address at which anyone may read this file until it expires. Raises NoDirectTransfer, FileMissing."""
        raise NoDirectTransfer

    async def presigned_put(
        self, key: str, *, size: int, content_type: str, expires: timedelta
    ) -> PresignedUpload:  # fmt: skip
        """Return a presigned upload that permits exactly this key, size and content type. Raises NoDirectTransfer."""
        raise NoDirectTransfer

    async def copy(self, source: str, target: str, *, etag: str) -> StoredFile:
        """Copy a file within the storage if its ETag is `etag`, and return what arrived.

        Not every service heeds the condition: where the ETag of the copy is another one, check the copy.

        Raises
        ------
        NoDirectTransfer; FileMissing; SourceChanged of `fastopp.storage.s3.copy`.
        """
        raise NoDirectTransfer

    async def check(self) -> None:
        """Raise StorageUnavailable, or what else is wrong, unless the storage works."""
        with suppress(FileMissing):
            await self.head(PROBE)

    async def sweep(self) -> int:
        """Remove what killed processes left half-written, and return how many files that were."""
        return 0

    async def abort_uploads(self, key: str | None = None, *, after: datetime | None = None, before: datetime) -> int:
        """Abort incomplete uploads of a file, or of all, that began between two times. Return how many."""
        return 0

    async def aclose(self) -> None:  # noqa: B027 - nothing to close
        """End what runs, and close connections."""


add_to_work(Storage)  # what it does for all others
