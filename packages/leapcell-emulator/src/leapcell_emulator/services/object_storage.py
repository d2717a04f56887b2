"""LeapCell's Object Storage on this machine: a new bucket for each run, and its public address.

Objects lie with `rclone serve s3`, which checks signatures. In front of it stands what users have seen of LeapCell's
(`s3_oddities.py`): keys come percent-encoded in listings, a prefix with a slash finds nothing, and the bucket is full
at 100 MB or 5,000 files. The public address (`cdn.py`) shows everything to everyone, and old copies for twelve hours.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from leapcell_emulator.services import s3_http, s3_oddities, s3_presigned, storage_look
from leapcell_emulator.services.cdn import Cdn
from leapcell_emulator.services.look import Table
from leapcell_emulator.services.notices import Notice, Notices
from leapcell_emulator.services.process import random_text
from leapcell_emulator.services.rclone import Rclone
from leapcell_emulator.services.storage_use import StorageFull, StorageUse

REGION = "us-east-1"  # any will do at LeapCell
SAVED = "bucket"  # the folder of a saved bucket
CHUNK = 256 * 1024  # bytes passed on at a time

_FULL = {"storage_quota": "The bucket's bytes are used up.", "storage_files": "The bucket has no room for more files."}

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageOptions:
    """Options, all from users' reports; sizes in bytes, times in seconds, 0 is no limit."""

    oddities: bool = True
    """Keys in listings come encoded, and a prefix with a slash finds nothing."""
    blind_head: bool = False
    """HEAD says 404 for what is there. One user says so, another that it does not."""
    max_bytes: int = 100_000_000
    max_files: int = 5000
    cdn_ttl: float = 12 * 3600.0
    allow_origin: str = ""
    """The site whose pages may upload (CORS). Nothing is known of LeapCell's answer."""
    port: int = 0
    """0: any that is free."""
    cdn_port: int = 0


class ObjectStorage:
    """A running Object Storage: `async with ObjectStorage(options) as storage:`.

    notice: called when one of its oddities occurs.
    Raises `ServiceFailed` when it does not start.
    """

    def __init__(self, options: StorageOptions | None = None, *, notice: Notice | None = None) -> None:
        self.options = options or StorageOptions()
        self.host = "127.0.0.1"
        self.port = 0
        self.cdn_port = 0
        self.access_key = secrets.token_hex(16)
        self.secret_key = random_text(40, string.ascii_letters + string.digits)
        self.bucket = (
            f"os-wsp{secrets.randbelow(10**8)}-{secrets.token_hex(2)}-{secrets.token_hex(2)}-{secrets.token_hex(4)}"
        )
        self.notices = Notices(notice)
        self._rclone: Rclone | None = None
        self._use: StorageUse
        self._cdn: Cdn
        self._session: aiohttp.ClientSession | None = None
        self._runners: list[web.ServerRunner] = []

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._stop)
            await self._open()
            self.port = await self._listen(self._answer, self.options.port)
            self.cdn_port = await self._listen(self._show, self.options.cdn_port)
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def endpoint(self) -> str:
        """The address of the S3 service."""
        return f"http://{self.host}:{self.port}"

    @property
    def cdn_url(self) -> str:
        """The public address of the bucket."""
        return f"http://{self.host}:{self.cdn_port}/{self.bucket}"

    def environment(self) -> dict[str, str]:
        """The variables that a LeapCell user copies from the dashboard."""
        return {
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
            "S3_BUCKET": self.bucket,
            "S3_REGION": REGION,
            "S3_ENDPOINT_URL": self.endpoint,
            "S3_CDN_URL": self.cdn_url,
        }

    def status(self) -> dict[str, Any]:
        """Its use, for the page: sizes in bytes."""
        return {
            "state": "running" if self._rclone and self._rclone.running else "ended",
            "bucket": self.bucket,
            "port": self.port,
            "size": self._use.bytes,
            "max_size": self.options.max_bytes,
            "files": self._use.files,
            "max_files": self.options.max_files,
            "cdn_port": self.cdn_port,
            "cdn_hits": self._cdn.hits,
            "cdn_misses": self._cdn.misses,
            "notices": self.notices.told,
        }

    def purge_cdn(self) -> None:
        """Let the public address show everything as it is now."""
        self._cdn.forget()

    async def look(self, name: str, after: int) -> Table:
        """Return its objects."""
        return await asyncio.to_thread(storage_look.look, self._use.folder, after)

    def find(self, key: str) -> Path:
        """Return the file of an object. Raises `NotFound`."""
        return storage_look.find(self._use.folder, key)

    async def save(self, folder: Path) -> None:
        """Copy the objects into this folder, in the place of what was saved there before."""
        await asyncio.to_thread(_copy_tree, self._use.folder, folder / SAVED)

    async def load(self, folder: Path) -> bool:
        """Let the bucket hold what `save` wrote, and only that. Whether there was anything."""
        saved = folder / SAVED
        if not await asyncio.to_thread(saved.is_dir):
            return False
        await self._close()
        await self._open(saved)  # rclone does not see what others put into its folder while it runs
        return True

    async def _open(self, saved: Path | None = None) -> None:
        options = self.options
        self._rclone = rclone = Rclone(
            access_key=self.access_key, secret_key=self.secret_key, allow_origin=options.allow_origin
        )
        bucket = rclone.root / self.bucket
        await asyncio.to_thread(_copy_tree, saved, bucket) if saved else bucket.mkdir()
        self._use = StorageUse(bucket, max_bytes=options.max_bytes, max_files=options.max_files)
        await self._use.count()
        self._cdn = Cdn(rclone.root, rclone.folder / "cdn", ttl=options.cdn_ttl, notices=self.notices)
        await rclone.start()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(rclone.socket), limit=0),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def _close(self) -> None:
        if self._session:
            await self._session.close()
        if self._rclone:
            await self._rclone.stop()

    async def _stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        await self._close()

    async def _listen(self, answer: Answer, port: int) -> int:
        # A body with Content-Encoding is stored as it comes.
        runner = web.ServerRunner(web.Server(answer, auto_decompress=False, access_log=None), shutdown_timeout=0.5)
        self._runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, self.host, port)
        await site.start()
        return int(runner.addresses[0][1])

    async def _show(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._cdn.answer(request)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        bucket, _, key = unquote(request.rel_url.raw_path).lstrip("/").partition("/")
        if bucket not in ("", self.bucket):
            return s3_http.error(404, "NoSuchBucket", "There is no such bucket.")
        if not key and request.method in ("PUT", "DELETE"):
            return s3_http.error(403, "AccessDenied", "Buckets are made and deleted in the dashboard.")
        if self.options.blind_head and key and request.method == "HEAD":
            return web.Response(status=404)
        if key and s3_presigned.is_presigned(request):
            assert self._rclone  # noqa: S101 - as in `_pass_on`
            return s3_presigned.answer(
                request, root=self._rclone.root, access_key=self.access_key, secret_key=self.secret_key
            )
        if not s3_http.is_signed(request):
            return s3_http.error(403, "AccessDenied", "The request is not signed.")
        if request.method == "PUT":
            return await self._put(request, key)
        return await self._pass_on(request, key)

    async def _put(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        try:
            with self._use.room_for(key, s3_http.size_of(request)):
                return await self._pass_on(request, key)
        except StorageFull as full:
            self.notices.tell(full.rule, key)
            # The rest of the body would be taken for the next request.
            return s3_http.error(403, "QuotaExceeded", _FULL[full.rule], headers={"Connection": "close"})

    async def _pass_on(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        assert self._session  # noqa: S101 - made before anything listens
        url = URL(f"http://storage{request.raw_path}", encoded=True)  # as it came: it is part of the signature
        headers = [(n, v) for n, v in request.headers.items() if n.lower() not in s3_http.NOT_PASSED_ON]
        body = request.content.iter_chunked(CHUNK) if request.body_exists else None
        response: web.StreamResponse | None = None
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as found:
                if found.status < 300:
                    await self._count(request, key)
                if self._is_listing(request, found.status):
                    return self._list(request, await found.read(), found.headers)
                part = "Content-Range" in found.headers  # for which rclone 1.75 says 200
                status = HTTPStatus.PARTIAL_CONTENT if part else found.status
                response = web.StreamResponse(status=status, headers=s3_http.kept(found, part=part))
                await response.prepare(request)
                async for chunk in found.content.iter_chunked(CHUNK):
                    await response.write(chunk)
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            if response is None:
                said = "The storage does not answer."
                return s3_http.error(503, "ServiceUnavailable", said, headers={"Connection": "close"})
            if request.transport:
                request.transport.abort()  # too late for another answer
            return response

    async def _count(self, request: web.BaseRequest, key: str) -> None:
        """Note what a request that went well has changed."""
        upload, copied = request.query.get("uploadId"), "X-Amz-Copy-Source" in request.headers
        if request.method == "PUT" and upload:
            return self._use.add_part(upload, s3_http.size_of(request))
        if request.method == "PUT" and not copied:
            return self._use.add(key, s3_http.size_of(request))
        if upload and request.method in ("POST", "DELETE"):
            self._use.end_upload(upload)
        elif request.method == "DELETE":
            return self._use.remove(key)
        if request.method in ("PUT", "POST"):  # a copy, many deleted, an upload in parts finished
            await self._use.count()
        return None

    def _is_listing(self, request: web.BaseRequest, status: int) -> bool:
        at_bucket = unquote(request.rel_url.raw_path).strip("/") == self.bucket
        other = request.query.keys() & {"location", "uploads", "versioning", "versions", "acl", "policy", "cors"}
        return self.options.oddities and request.method == "GET" and at_bucket and not other and status == 200

    def _list(self, request: web.BaseRequest, listing: bytes, headers: Mapping[str, str]) -> web.Response:
        if s3_oddities.is_deaf_to(request.query):
            found = f"A listing with a slash in its prefix found nothing: {request.query['prefix']}"
            self.notices.once("storage_oddities", found, kind="prefix")
            listing = s3_oddities.empty(listing)
        encoded = s3_oddities.encode_keys(listing)
        if encoded != listing:
            self.notices.once("storage_oddities", "The keys in a listing came percent-encoded, and it did not say so")
        return web.Response(body=encoded, headers={"Content-Type": headers.get("Content-Type", "application/xml")})


def _copy_tree(source: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
