"""Pages as cached values: status, headers and body, and the nonce that each visitor gets another one for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from fastapi import Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response, StreamingResponse

from fastopp.cache.cache import Uncached
from fastopp.cache.keys import digest
from fastopp.web.csrf_tokens import session_of
from fastopp.web.entity_tags import tag_of_body
from fastopp.web.middleware.headers import is_personal
from fastopp.web.nonces import nonce_of, page_nonce
from fastopp.web.templating import reader_of_request
from fastopp.web.vary import add_vary

# Headers that belong to one answer. A page with a cookie is not kept at all.
_OF_ONE_ANSWER: Final = frozenset({b"content-length", b"date", b"set-cookie"})
_PRIVATE: Final = ("no-store", "private")


def is_for_everyone(request: Request, vary: Sequence[str]) -> bool:
    """Return whether a request gets a page from the cache: a GET of a visitor, and not for a part of the page."""
    if request.method not in ("GET", "HEAD") or is_personal(request.scope) or session_of(request):
        return False
    return "hx-request" not in request.headers or any(name.lower() == "hx-request" for name in vary)


def page_key(function: str, code_version: str, request: Request, vary: Sequence[str]) -> str:
    """Return the key of a page: its whole address, the language, and the headers that it varies by."""
    language = reader_of_request(request).language
    return digest(function, code_version, str(request.url), language, [request.headers.get(name) for name in vary])


def encode(response: object, request: Request | None, cache_control: str, vary: Sequence[str]) -> bytes:
    """Return an answer as bytes. Raise Uncached for one that is not for everyone, or no success."""
    if not isinstance(response, Response) or isinstance(response, StreamingResponse) or not hasattr(response, "body"):
        raise Uncached(response)
    add_vary(response.headers, vary)
    if response.status_code != 200:
        raise Uncached(response, failed=response.status_code >= 500)
    control = response.headers.get("cache-control", "")
    personal = request is not None and (hasattr(request.state, "csrf_mask") or bool(session_of(request)))
    if personal or "set-cookie" in response.headers or any(word in control for word in _PRIVATE):
        raise Uncached(response)
    body, nonce = bytes(response.body), nonce_of(request.scope) if request is not None else None
    if request is not None:  # otherwise an argument may be an account
        response.headers.setdefault("Cache-Control", cache_control)
        response.headers.setdefault("ETag", tag_of_body(body, nonce))
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")]
        for name, value in response.raw_headers
        if name.lower() not in _OF_ONE_ANSWER
    ]
    return json.dumps({"headers": headers, "nonce": nonce}).encode() + b"\n" + body


def decode(data: bytes, request: Request | None, status: str) -> Response:
    """Return the answer of bytes, with this request's nonce."""
    head, _, body = data.partition(b"\n")
    known = json.loads(head)
    if known["nonce"] and request is not None:
        body = body.replace(known["nonce"].encode(), page_nonce(request).encode())
    response = Response(body)
    headers = MutableHeaders(raw=response.raw_headers)
    for name, value in known["headers"]:
        headers.append(name, value)
    headers["Cache-Status"] = f"fastopp; {status}"  # RFC 9211
    return response
