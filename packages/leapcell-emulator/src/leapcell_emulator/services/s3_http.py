"""Parse requests to S3, and pass on responses or create our own."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

# Headers that are between two neighbours only, or that each side writes for itself.
NOT_PASSED_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "expect", "date", "server"})


def is_signed(request: web.BaseRequest) -> bool:
    """Return whether it carries a signature, or needs none."""
    asks = request.method == "OPTIONS"  # a browser, whether it may
    return asks or "Authorization" in request.headers or "X-Amz-Signature" in request.query


def size_of(request: web.BaseRequest) -> int:
    """Bytes of the object that it brings."""
    told = request.headers.get("X-Amz-Decoded-Content-Length", "")
    return int(told) if told.isdecimal() else request.content_length or 0


def kept(found: aiohttp.ClientResponse, *, part: bool) -> CIMultiDict[str]:
    """The headers of an answer that are passed on. `part`: it is of a part of the object."""
    kept = CIMultiDict((name, value) for name, value in found.headers.items() if name.lower() not in NOT_PASSED_ON)
    if part:  # rclone gives the whole object's checksum, and boto3 checks the part by it
        for name in [name for name in kept if name.lower().startswith("x-amz-checksum-")]:
            del kept[name]
    return kept


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error of our own, in S3's format."""
    body = f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'.encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/xml", **(headers or {})})
