"""Heads of requests and answers as they are passed on: without what concerns two neighbours only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from leapcell_emulator.target import Target
from leapcell_emulator.upstream_connection import RawHeaders

# Between two neighbours only: RFC 9110, 7.6.1.
_HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_TEXT: Final = ("utf-8", "surrogateescape")
# Written by the gateway itself.
_REPLACED: Final = frozenset((b"expect", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"))


def passed_headers(request: web.BaseRequest, target: Target, *, proto: str) -> RawHeaders:
    """Return a request's headers with those that LeapCell's proxy adds (E13)."""
    left_out = _HOP_BY_HOP | _REPLACED
    named: set[bytes] = set()
    earlier, host = [], b""
    for name, value in request.raw_headers:
        lowered = name.lower()
        if lowered == b"connection":
            named |= {each.strip().lower() for each in value.split(b",")}
        elif lowered == b"x-forwarded-for":
            earlier.append(value)
        elif lowered == b"host":
            host = value
    left_out |= named
    if target.host:
        host = target.host.encode()
        left_out |= {b"host"}
    headers = [(name, value) for name, value in request.raw_headers if name.lower() not in left_out]
    if target.host:
        headers.append((b"Host", host))
    headers.append((b"X-Forwarded-For", b", ".join([*earlier, (request.remote or "127.0.0.1").encode()])))
    headers.append((b"X-Forwarded-Proto", proto.encode()))
    headers.append((b"X-Forwarded-Host", host))
    return headers


def request_head(method: str, path: str, headers: RawHeaders, *, chunked: bool) -> bytes:
    """Return the bytes before a request's body."""
    lines = [f"{method} {path} HTTP/1.1".encode()]
    lines += [b"%b: %b" % header for header in headers]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join([*lines, b"", b""])


def is_chunked(request: web.BaseRequest) -> bool:
    """Return whether a request has a body of a length that it does not say."""
    return request.body_exists and "Content-Length" not in request.headers


def answer_head(status: int, reason: bytes, headers: RawHeaders, body: bytes | None) -> web.StreamResponse:
    """Return an answer to write to the client; without a `body`, it is to come."""
    passed = CIMultiDict(decoded([header for header in headers if header[0].lower() not in _HOP_BY_HOP]))
    if body is not None:
        return web.Response(status=status, reason=reason.decode(*_TEXT) or None, headers=passed, body=body)
    return web.StreamResponse(status=status, reason=reason.decode(*_TEXT) or None, headers=passed)


def decoded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return headers as text."""
    return [(name.decode(*_TEXT), value.decode(*_TEXT)) for name, value in headers]
