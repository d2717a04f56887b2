"""Uploaded files, served at `/static/uploads/<key>`; never touches the database.

A body that the platform would cut off is answered with a redirect to an address at the Object Storage that holds
for a few minutes. The redirect must not be kept, since its signature runs out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, timedelta
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from fastopp.core.dependencies import get_runtime
from fastopp.errors import FastOppError
from fastopp.storage import deadlines
from fastopp.storage.base import FileMissing, NoDirectTransfer, OpenedFile, Storage, StoredFile
from fastopp.storage.keys import UPLOADS_URL, content_type_of, is_random_key, is_reserved

CACHE_FOR_GOOD = "public, max-age=31536000, immutable"  # a random key never stands for another content
CACHE_BUT_ASK = "public, no-cache"
REDIRECT_LIFETIME = timedelta(minutes=5)

# Even a file that a browser could be talked into taking for a page runs nothing and reads nothing here.
_SAFE_HEADERS = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class AnswerTooLarge(FastOppError):
    """The file is larger than this platform allows for a response."""

    status = 507
    hint = "Ask for it in parts (Range), or keep uploaded files in an Object Storage: set the S3_ variables."


def create_router(max_body: int | None = None) -> APIRouter:
    """The routes.

    Parameters
    ----------
    max_body: the most bytes that the platform lets an answer have; None for any number.
    """
    router = APIRouter()

    async def uploaded_file(request: Request) -> Response:
        """One uploaded file, or a part of it."""
        storage, key = get_runtime(request).storage, request.path_params["key"]
        if is_reserved(key):
            raise FileMissing(f"There is no file “{key}”.")  # backups, and uploads that are not complete
        async with deadlines.within(deadlines.FIRST_BYTE):
            opened = await storage.open(key)
            try:
                answer = await _answer(opened, request, storage, max_body)
            except BaseException:
                opened.close()
                raise
        if not isinstance(answer, StreamingResponse):
            opened.close()
        return answer

    # Not FastAPI's kind of route: its dependencies, the CSRF check among them, would do nothing here and cost a fifth.
    router.add_route(UPLOADS_URL + "{key:path}", uploaded_file, methods=["GET", "HEAD"], include_in_schema=False)
    return router


async def _answer(opened: OpenedFile, request: Request, storage: Storage, max_body: int | None) -> Response:
    file = opened.file
    media_type = content_type_of(file.key)  # not the bucket's type, which may be text/html
    headers = _headers(file, media_type)
    if _is_known(request, file):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(file.size)}, media_type=media_type)
    start, end, status = 0, file.size, 200
    if (wanted := request.headers.get("range")) and _range_applies(request, file):
        part = _parse_range(wanted, file.size)
        if part is not None:
            start, end = part
            if start >= end:
                return Response(status_code=416, headers=_SAFE_HEADERS | {"Content-Range": f"bytes */{file.size}"})
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
            status = 206
    if max_body is not None and end - start > max_body:
        return await _elsewhere(storage, file)
    pieces = opened.stream(start, end)
    # The first piece comes before the head of the answer, so that a file just deleted is a 404.
    first = await anext(pieces, b"")
    if len(first) == end - start:
        await pieces.aclose()
        return Response(first, status, headers, media_type=media_type)
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(_continued(first, pieces), status, headers, media_type=media_type)


async def _elsewhere(storage: Storage, file: StoredFile) -> Response:
    try:
        url = await storage.presigned_get(file.key, expires=REDIRECT_LIFETIME)
    except NoDirectTransfer:
        raise AnswerTooLarge from None
    return RedirectResponse(url, 307, {"Cache-Control": "no-store"})


async def _continued(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(rest):
        yield first
        async for piece in rest:
            yield piece


def _headers(file: StoredFile, media_type: str) -> dict[str, str]:
    picture = media_type.startswith("image/")
    return _SAFE_HEADERS | {
        "ETag": file.etag,
        "Last-Modified": format_datetime(file.modified.astimezone(UTC), usegmt=True),
        "Cache-Control": CACHE_FOR_GOOD if is_random_key(file.key) else CACHE_BUT_ASK,
        "Accept-Ranges": "bytes",
        "Content-Disposition": "inline" if picture else "attachment",
    }


def _is_known(request: Request, file: StoredFile) -> bool:
    """Return whether the client has this very file (RFC 9110, 13.2.2)."""
    if (tags := request.headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or file.etag in (tag.strip().removeprefix("W/") for tag in tags.split(","))
    return _not_modified_since(request.headers.get("if-modified-since"), file)


def _not_modified_since(date: str | None, file: StoredFile) -> bool:
    try:
        return date is not None and file.modified.replace(microsecond=0) <= parsedate_to_datetime(date)
    except (ValueError, TypeError):  # no date, or one without a zone
        return False


def _range_applies(request: Request, file: StoredFile) -> bool:
    """Return whether the file is still the one that the client has a part of (RFC 9110, 13.1.5)."""
    condition = request.headers.get("if-range")
    return condition is None or condition in (file.etag, format_datetime(file.modified.astimezone(UTC), usegmt=True))


def _parse_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and end (not included) of the one range asked for; an empty one where the file has nothing of it.

    None when it is not a single, well-formed range: then all is sent, as RFC 9110, 14.2 allows.
    """
    match = _RANGE.fullmatch(header.strip())
    first, last = match.groups() if match else ("", "")
    if not first:
        return (max(0, size - int(last)), size) if last else None
    if not last:
        return int(first), size
    return (int(first), min(size, int(last) + 1)) if int(first) <= int(last) else None
