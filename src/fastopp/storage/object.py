"""Uploaded files in Object Storage: any service that speaks S3."""

from __future__ import annotations

import builtins
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError
from fastopp.storage.base import ChecksumMismatch, FileMissing, PresignedUpload, Storage, StoredFile
from fastopp.storage.checksums import ContentDigest
from fastopp.storage.keys import check_key, folder_of, url_of
from fastopp.storage.s3.bucket import Bucket
from fastopp.storage.s3.client import Patience
from fastopp.storage.s3.content import Content, Part, chained, digest_of, parts_of, take_in
from fastopp.storage.s3.copy import CopyUnsupported, SourceChanged, copy_object
from fastopp.storage.s3.download import CAME_DAMAGED, Download
from fastopp.storage.s3.listing import ObjectListing
from fastopp.storage.s3.names import ObjectNames
from fastopp.storage.s3.presigned import presign
from fastopp.storage.s3.quota import Quota, QuotaGuard, Room, Usage, usage_of
from fastopp.storage.threads import shielded

if TYPE_CHECKING:
    from fastopp.storage.s3.open_uploads import OpenUploads

T = TypeVar("T")


class ObjectStorage(Storage):
    """Files in a bucket. Opening it asks nothing of the network.

    What arrived is compared with what was sent: by the ETag, and if that says nothing, by reading it back.
    Requests that failed for a passing reason are repeated with growing pauses.

    Parameters
    ----------
    endpoint: address of the service, without the bucket. `http://` is allowed, for a service on the same machine.
    cdn_url: public address of the bucket, from which browsers get the files; empty to serve them ourselves.
    prefix: a folder in the bucket to keep to.
    quota: what the plan holds; None for no limit.
    patience: how long to wait and how often to try.
    """

    def __init__(
        self,
        bucket: str,
        *,
        endpoint: str,
        access_key: str,
        secret_key: str,
        region: str = "us-east-1",
        cdn_url: str = "",
        prefix: str = "",
        quota: Quota | None = None,
        patience: Patience | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.bucket = bucket
        self.endpoint = endpoint.rstrip("/")
        self.region = region
        self.cdn_url = cdn_url.rstrip("/")
        self._names = ObjectNames(prefix)
        self._access_key, self._secret_key = access_key, secret_key
        self._objects = Bucket(
            bucket, self.endpoint, region, access_key=access_key, secret_key=secret_key, patience=patience or Patience()
        )
        self.quota = quota
        self._quota = QuotaGuard(quota, self.usage, clock=clock) if quota else None
        self._listing = ObjectListing(self._objects, self._names)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.bucket!r} at {self.endpoint!r})"

    async def put(self, key: str, data: Content, *, content_type: str, checksum: str | None = None) -> StoredFile:
        """See Storage.put. A file over 8 MiB is sent in parts. Raises QuotaExceeded before anything is sent."""
        name = self._names.name(check_key(key))
        parts = parts_of(data)
        first = await anext(parts, b"")
        second = await anext(parts, None)
        async with AsyncExitStack() as stack:
            room = await stack.enter_async_context(self._quota.room()) if self._quota else None
            if second is None:
                etag, size = await self._put_whole(name, first, content_type, checksum, room)
            else:
                rest = chained(first, second, parts)
                etag, size = await self._put_parts(name, rest, content_type, checksum, room)
        return StoredFile(key, size, etag, content_type, datetime.now(UTC).replace(microsecond=0))

    async def get(self, key: str) -> bytes:
        """See Storage.get."""
        return await self._find(key, self._get)

    def prepare(self) -> None:
        """See Storage.prepare."""
        self._objects.prepare()

    def read_promptly(self, key: str) -> memoryview | None:
        """See Storage.read_promptly."""
        found = self._objects.read_promptly(self._names.name(check_key(key)))
        if found is None:
            return None
        etag, data = found
        if etag == f'"{md5(data, usedforsecurity=False).hexdigest()}"':  # quicker than what follows, and mostly so
            return data
        return data if ContentDigest(data).matches(etag) is not False else None

    async def stream(self, key: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes]:
        """See Storage.stream. Raises ChecksumMismatch after the last piece of a whole file that came damaged."""
        if end is not None and end <= start:
            await self.head(key)
            return

        def ask(name: str) -> Awaitable[Download]:
            return self._objects.open(name, start, end)

        whole = start == 0 and end is None
        download = await self._find(key, ask)
        digest = ContentDigest()
        async for piece in download.pieces():
            if whole:
                await take_in(digest, piece)
            yield piece
        if whole and digest.matches(download.etag) is False:
            again = await digest_of((await self._find(key, ask)).pieces())
            if again.md5 != digest.md5:  # else the ETag is no checksum
                raise ChecksumMismatch(CAME_DAMAGED, hint="Try again.")

    async def head(self, key: str) -> StoredFile:
        """See Storage.head."""
        file = await self._find(key, self._objects.head)
        return file._replace(key=key)

    async def list(self, prefix: str = "") -> AsyncGenerator[StoredFile]:
        """See Storage.list. One request for each 1,000 files; in the order of the server."""
        async for page in self.pages(prefix):
            for file in page:
                yield file

    async def pages(
        self, prefix: str = "", *, refused: Callable[[str], None] | None = None
    ) -> AsyncGenerator[builtins.list[StoredFile]]:
        """The files of `list`, up to 1,000 at a time.

        Parameters
        ----------
        refused: called with the names of objects that no file can have, like `../x`; perhaps more than once.
        """
        places = self._names.folders(folder_of(prefix))
        legacy: dict[str, StoredFile] = {}
        for place in places:
            async for files, older in self._listing.below(place, prefix, refused):
                legacy |= {file.key: file for file in older}
                yield files
        if legacy:  # of a file that is in both places, the one in the right place counts
            async for files, _ in self._listing.below(places[0], prefix):
                for file in files:
                    legacy.pop(file.key, None)
            yield [*legacy.values()]

    async def delete(self, key: str) -> None:
        """See Storage.delete."""
        for name in self._names.names(check_key(key)):
            with suppress(FileMissing):  # asked first: rclone takes the name of no object for that of another one
                await self._objects.head(name)
                await self._objects.delete(name)

    def url(self, key: str) -> str:
        """The file's address at the CDN; without one, the path at which this application serves it."""
        check_key(key)
        return f"{self.cdn_url}/{quote(self._names.name(key))}" if self.cdn_url else url_of(key)

    async def presigned_get(self, key: str, *, expires: timedelta) -> str:
        """See Storage."""
        found = await self._find(key, self._objects.head)
        return self._presign("GET", found.key, {}, expires)

    async def presigned_put(self, key: str, *, size: int, content_type: str, expires: timedelta) -> PresignedUpload:
        """See Storage. Raises QuotaExceeded unless there is room for the file and a copy of it."""
        name = self._names.name(check_key(key))
        headers = {"Content-Type": content_type}
        if self._quota:
            async with self._quota.room() as room:
                room.grow(2 * size)
        return PresignedUpload(self._presign("PUT", name, {**headers, "Content-Length": str(size)}, expires), headers)

    async def copy(self, source: str, target: str, *, etag: str) -> StoredFile:
        """See Storage. The service copies; where it cannot, the bytes pass through here."""
        from_name, to_name = (self._names.name(check_key(key)) for key in (source, target))
        try:
            await copy_object(self.bucket, self._presign, from_name, to_name, etag=etag)
        except CopyUnsupported:
            if (file := await self.head(source)).etag != etag:
                raise SourceChanged from None
            await self.put(target, self.stream(source), content_type=file.content_type)
        return await self.head(target)

    def open_uploads(self) -> OpenUploads:
        """The multipart uploads that were begun and neither completed nor aborted."""
        return self._objects.open_uploads(self._names)

    async def abort_uploads(self, key: str | None = None, *, after: datetime | None = None, before: datetime) -> int:
        """See Storage.abort_uploads."""
        return await self.open_uploads().abort(key, after=after, before=before)

    async def usage(self) -> Usage:
        """Return the usage of the whole bucket, including other programs' files. One request for each 1,000 files."""
        return await usage_of(self._objects)

    async def _find(self, key: str, look: Callable[[str], Awaitable[T]]) -> T:
        """The result of looking in the places where a file may be. Raises FileMissing."""
        *likely, last = self._names.names(check_key(key))
        for name in likely:
            with suppress(FileMissing):
                return await look(name)
        return await look(last)

    async def _get(self, name: str) -> bytes:
        etag, data = await self._objects.read(name)
        digest = await take_in(ContentDigest(), data)
        if digest.matches(etag) is not False:
            return data
        etag, again = await self._objects.read(name)
        if again == data or ContentDigest(again).matches(etag):  # the ETag is no checksum, or all is well now
            return again
        raise ChecksumMismatch(CAME_DAMAGED, hint="Try again.")

    async def _put_whole(
        self, name: str, data: Part, content_type: str, checksum: str | None, room: Room | None
    ) -> tuple[str, int]:
        digest = await take_in(ContentDigest(), data)
        if checksum not in (None, digest.md5):
            raise ChecksumMismatch
        if room:
            room.grow(digest.size)
        try:
            etag = await self._objects.put(name, data, content_type)
            await self._verify(name, digest, etag)
        except ChecksumMismatch:  # damaged on the way: once more
            etag = await self._objects.put(name, data, content_type)
            await self._verify(name, digest, etag)
        return etag, digest.size

    async def _put_parts(
        self,
        name: str,
        parts: AsyncIterator[Part],
        content_type: str,
        checksum: str | None,
        room: Room | None,
    ) -> tuple[str, int]:
        digest = ContentDigest()

        async def checked() -> AsyncIterator[Part]:
            async for part in parts:
                await take_in(digest, part)
                if room:
                    room.grow(len(part))
                yield part
            if checksum not in (None, digest.md5):
                raise ChecksumMismatch

        await self._objects.put_parts(name, checked(), content_type)
        etag = (await self._objects.head(name)).etag
        await self._verify(name, digest, etag)
        return etag, digest.size

    async def _verify(self, name: str, digest: ContentDigest, etag: str) -> None:
        """Make sure that what arrived is what was sent, or remove it. Raises ChecksumMismatch."""
        if digest.matches(etag):
            return
        try:
            arrived = await digest_of((await self._objects.open(name, 0, None)).pieces())
        except BaseException:
            await self._discard(name)
            raise
        if arrived.md5 != digest.md5:
            await self._discard(name)
            raise ChecksumMismatch

    async def _discard(self, name: str) -> None:
        with shielded(), suppress(FastOppError):
            await self._objects.delete(name)

    def _presign(self, method: str, name: str, headers: Mapping[str, str], expires: timedelta) -> str:
        return presign(
            method,
            f"{self.endpoint}/{self.bucket}/{quote(name)}",
            headers=headers,
            region=self.region,
            access_key=self._access_key,
            secret_key=self._secret_key,
            expires=expires,
        )
