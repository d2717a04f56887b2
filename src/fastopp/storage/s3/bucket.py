"""One bucket through obstore: objects by name, without knowing what a file is."""

from __future__ import annotations

import asyncio
import builtins
import time
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from fastopp.storage.base import FileMissing, InvalidKey, StorageMisconfigured, StoredFile
from fastopp.storage.checksums import PART_SIZE
from fastopp.storage.keys import DEFAULT_CONTENT_TYPE, content_type_of
from fastopp.storage.s3.calls import call
from fastopp.storage.s3.client import LONGEST, Patience, open_client
from fastopp.storage.s3.download import Download
from fastopp.storage.s3.errors import explained, refusal
from fastopp.storage.s3.presigned import presign
from fastopp.storage.threads import shielded

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta
    from obstore.store import ClientConfig, S3Credential

    from fastopp.storage.s3.names import ObjectNames
    from fastopp.storage.s3.open_uploads import OpenUploads

PAGE = 1000  # names in one page of S3's, at most
PIECE = 256 * 1024  # bytes, the least that is handed over at a time
PARTS_AT_ONCE = 4  # of one file; bounds the memory to about 50 MB


class Bucket:
    """The objects of a bucket. Every method raises what `explained` does."""

    def __init__(
        self, name: str, endpoint: str, region: str, *, access_key: str, secret_key: str, patience: Patience
    ) -> None:
        self.name = name
        self._endpoint, self._region = endpoint, region
        self._patience = patience
        self._ranges = True  # until the server shows that it knows none
        self._credential: S3Credential = {
            "access_key_id": access_key,
            "secret_access_key": secret_key,
            "token": None,
            "expires_at": None,
        }

    @cached_property
    def reading(self) -> S3Store:
        """The client that reads: it gives up on a silent server, not on a long download."""
        silence = timedelta(seconds=self._patience.silence)
        return self._store({"read_timeout": silence, "timeout": LONGEST}, self._patience.retry_for)

    @cached_property
    def writing(self) -> S3Store:
        """The client that sends: a slow line is no silence, so it has more time."""
        send = self._patience.send
        return self._store({"timeout": timedelta(seconds=send)}, max(self._patience.retry_for, 1.2 * send))

    @cached_property
    def prompt(self) -> S3Store:
        """The client for blocking calls: it gives up soon and tries nothing twice."""
        return self._store({"timeout": timedelta(seconds=min(_PROMPT, self._patience.silence))}, 0, retries=0)

    def _store(self, timeouts: ClientConfig, retry_for: float, *, retries: int | None = None) -> S3Store:
        with explained(self.name):
            return open_client(
                self.name,
                self._endpoint,
                self._region,
                self._credential,
                timeouts={"connect_timeout": timedelta(seconds=self._patience.connect), **timeouts},
                retries=self._patience.retries if retries is None else retries,
                pause=self._patience.pause,
                retry_for=retry_for,
            )

    async def put(self, name: str, data: bytes | memoryview, content_type: str, cache_control: str = "") -> str:
        """Store an object in one request: its ETag."""
        attributes = {"Content-Type": content_type} | ({"Cache-Control": cache_control} if cache_control else {})
        with explained(self.name):
            result = await call(
                self.writing,
                obstore.put_async,
                self.writing,
                name,
                data,
                attributes=attributes,
                use_multipart=False,
            )
        return _quoted(result["e_tag"])

    async def put_parts(self, name: str, parts: AsyncIterable[bytes | memoryview], content_type: str) -> None:
        """Store an object in parts of PART_SIZE. After any failure there is no object, and no parts are left."""
        store = self.writing
        writer = obstore.open_writer_async(
            store,
            name,
            attributes={"Content-Type": content_type},
            buffer_size=PART_SIZE,
            max_concurrency=PARTS_AT_ONCE,
        )
        try:
            async for part in parts:
                with explained(self.name):
                    await call(store, writer.write, part)
            with explained(self.name):
                await call(store, writer.close)
        except BaseException as error:
            with shielded(), suppress(BaseError, OSError):  # TimeoutError is an OSError: a dead server aborts nothing
                async with asyncio.timeout(_ABORT):
                    await call(store, writer.__aexit__, type(error), error, None)
            raise

    async def read(self, name: str) -> tuple[str, bytes]:
        """An object's ETag and content."""
        failures, begun = 0, time.monotonic()
        with explained(self.name):
            while True:
                result = await call(self.reading, obstore.get_async, self.reading, name)
                try:
                    return _quoted(result.meta["e_tag"]), bytes(await call(self.reading, result.bytes_async))
                except (
                    BaseError
                ):  # it failed half-way, and the server supports no ranges: otherwise obstore had continued
                    failures += 1
                    if failures > self._patience.retries or time.monotonic() - begun > self._patience.retry_for:
                        raise
                    await asyncio.sleep(self._patience.pause * 2**failures)

    def prepare(self) -> None:
        """Make the client of `read_promptly`, which takes a hundredth of a second, before many threads want it."""
        self.prompt  # noqa: B018 - kept when it is made

    def read_promptly(self, name: str) -> tuple[str, memoryview] | None:
        """An object's ETag and content; None for any trouble. Blocks."""
        try:
            result = obstore.get(self.prompt, name)
            return _quoted(result.meta["e_tag"]), memoryview(result.bytes())
        except (BaseError, OSError, ValueError):
            return None

    async def open(self, name: str, start: int, end: int | None) -> Download:
        """An object's bytes from `start` up to `end`; nothing beyond its end.

        Of a server that knows no ranges the whole is asked for, and what is not wanted is dropped here.
        """
        with explained(self.name):
            if self._ranges and (start or end is not None):
                try:
                    result = await self._get(name, {"range": {"offset": start} if end is None else (start, end)})
                    return Download(
                        self.name, self.reading, _quoted(result.meta["e_tag"]), result.stream(PIECE), 0, None
                    )
                except BaseError as error:
                    if refusal(error).status == _RANGE_NOT_SATISFIABLE:  # it begins behind the end
                        return Download(self.name, self.reading, "", None, 0, None)
                    self._learn_ranges(error)
            result = await self._get(name, {})
        return Download(self.name, self.reading, _quoted(result.meta["e_tag"]), result.stream(PIECE), start, end)

    async def head(self, name: str) -> StoredFile:
        """Return an object's metadata; `key` is its name.

        A HEAD has no body, so it cannot say why not, and some servers say 404 for what is there. The first byte
        is asked for then.
        """
        try:
            return await self._ask(name, {"head": True})
        except (BaseError, FileNotFoundError) as error:
            if refusal(error).status not in (400, 403, 404):
                with explained(self.name):
                    raise
        with explained(self.name):
            if self._ranges:
                try:
                    return await self._ask(name, {"range": (0, 1)})
                except BaseError as error:
                    if refusal(error).status != _RANGE_NOT_SATISFIABLE:  # there, and empty
                        self._learn_ranges(error)
            return await self._ask(name, {})

    async def _ask(self, name: str, options: GetOptions) -> StoredFile:
        result = await self._get(name, options)
        return _described(result.meta, result.attributes.get("Content-Type", DEFAULT_CONTENT_TYPE))

    async def _get(self, name: str, options: GetOptions) -> GetResult:
        return await call(self.reading, obstore.get_async, self.reading, name, options=options)

    def _learn_ranges(self, error: BaseError) -> None:
        """Remember that the server answers a part with the status of the whole, as rclone's does. Else raises."""
        if "NotPartial" not in str(error):
            raise error
        self._ranges = False

    async def list(
        self, folder: str, refused: Callable[[str], None] | None = None
    ) -> AsyncGenerator[builtins.list[StoredFile]]:
        """The objects below a folder, or all, a page at a time; `key` is the name as the server reports it.

        Parameters
        ----------
        refused: called with invalid names, like `../x`, of objects that are left out.
        """
        last: str | None = None
        failures = 0
        stream = obstore.list(self.reading, folder or None, chunk_size=PAGE)
        while True:
            try:
                with explained(self.name):
                    try:
                        batch = await call(self.reading, stream.__anext__)
                    except BaseError as error:  # obstore retries everything except a response that fails half-way
                        failures += 1
                        if "ListResponseBody" not in str(error) or failures > self._patience.retries:
                            raise
                        await asyncio.sleep(self._patience.pause * 2**failures)
                        stream = obstore.list(self.reading, folder or None, offset=last, chunk_size=PAGE)
                        continue
            except StopAsyncIteration:
                return
            except InvalidKey:
                from fastopp.storage.s3.plain_listing import plain_pages  # noqa: PLC0415 - hardly ever needed

                rest = plain_pages(self.name, self._sign_listing, folder, last or "", self._patience.silence)
                async with aclosing(rest) as pages:
                    async for page in pages:
                        if refused:
                            for name in page.refused:
                                refused(name)
                        yield page.files
                return
            except FileMissing:  # a listing is of no file, so it is the service that is not there
                raise StorageMisconfigured(
                    "There is no Object Storage at this address.", hint="Check S3_ENDPOINT_URL and S3_BUCKET."
                ) from None
            last = batch[-1]["path"] if batch else last
            yield [_described(meta, content_type_of(meta["path"])) for meta in batch]

    def open_uploads(self, names: ObjectNames) -> OpenUploads:
        """The multipart uploads that are not complete."""
        from fastopp.storage.s3.open_uploads import OpenUploads  # noqa: PLC0415 - rarely needed

        return OpenUploads(self.name, names, self._sign, self._patience.silence)

    def _sign_listing(self, query: dict[str, str]) -> str:
        return self._sign("GET", "", query)

    def _sign(self, method: str, name: str, query: dict[str, str]) -> str:
        credential = self._credential
        return presign(
            method,
            f"{self._endpoint}/{self.name}{f'/{quote(name)}' if name else ''}",
            headers={},
            region=self._region,
            access_key=credential["access_key_id"],
            secret_key=credential["secret_access_key"],
            expires=LONGEST,
            query=query,
        )

    async def delete(self, name: str) -> None:
        """Remove an object; it is no error if there is none."""
        with suppress(FileMissing), explained(self.name):
            await call(self.writing, obstore.delete_async, self.writing, name)


_RANGE_NOT_SATISFIABLE = 416
_PROMPT = 10  # seconds
_ABORT = 5  # seconds to abort a multipart upload on the server


def _quoted(etag: str | None) -> str:
    return f'"{(etag or "").strip(chr(34))}"'


def _described(meta: ObjectMeta, content_type: str) -> StoredFile:
    # HTTP's dates have seconds, a listing's have more: the same file is reported in the same way.
    modified = meta["last_modified"]
    if modified.microsecond:
        modified = modified.replace(microsecond=0)
    return StoredFile(meta["path"], meta["size"], _quoted(meta["e_tag"]), content_type, modified)
