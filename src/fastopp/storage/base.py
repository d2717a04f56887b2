"""What a storage of uploaded files can do, and what can go wrong with one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from fastopp.errors import BadRequest, FastOppError, NotFound, Unavailable


class FileMissing(NotFound):
    """There is no such file."""


class InvalidKey(BadRequest):
    """That is not the name of an uploaded file."""


class StorageFull(FastOppError):
    """There is no room left for uploaded files."""

    status = 507
    hint = "Delete what is not needed, or give the storage more room."


class StorageUnavailable(Unavailable):
    """The storage of uploaded files does not answer at the moment."""


@dataclass(frozen=True, slots=True)
class StoredFile:
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
    cannot be reached or does not let us in. A file is there as a whole or not at all, whatever happens.
    """

    async def put(self, key: str, data: bytes | AsyncIterable[bytes], *, content_type: str) -> StoredFile:
        """Store a file, durably when this returns, in place of any that is there.

        Raises StorageFull when there is no room; then, as after any other failure, nothing has changed.
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
        """What is known about a file without reading it. Raises FileMissing."""
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
