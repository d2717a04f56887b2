"""Answer 304 to a client that has the page already, and give answers the tags by which it knows.

Whole answers of up to 256 KiB to visitors get a weak tag of their content. Those that set a cookie, contain a form's
token, or go to a client that is signed in, get none: a handler may give them one by `ConditionalDep`.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.web.entity_tags import has, tag_of_body
from fastopp.web.middleware.headers import is_personal
from fastopp.web.nonces import nonce_of
from fastopp.web.vary import add_vary

MAX_TAGGED = 256 * 1024  # bytes; /openapi.json of the demo has 103 kB
TAGGED_TYPES = ("text/html", "application/json")

DECLARED = "answer_headers"
"""The key in a request's state of headers that a handler declared for its answer."""

# What a 304 repeats: RFC 9110, 15.4.5. Nothing else, since a browser replaces what it has: the policy in its copy names
# the nonce in its copy.
_REPEATED = frozenset({b"etag", b"last-modified", b"cache-control", b"vary", b"expires", b"content-location"})


class ConditionalMiddleware:
    """Compares `If-None-Match` and `If-Modified-Since` of GET and HEAD with the answer, and shortens it to a 304."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
            return
        await self.app(scope, receive, _Answer(scope, send).send)


class _Answer:
    """The answer of one request on its way out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._pass_on = send
        self._start: Message | None = None
        self._dropped = False

    async def send(self, message: Message) -> None:
        """Hold the start back until the tag is known."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._dropped:
            return
        elif self._start is not None and message["type"] == "http.response.body":
            start, self._start = self._start, None
            body: bytes = message.get("body", b"")
            if not message.get("more_body") and 0 < len(body) <= MAX_TAGGED:
                headers = MutableHeaders(raw=start["headers"])
                headers["ETag"] = tag_of_body(body, nonce_of(self._scope))
                if await self._shortened(start, headers):
                    return
            await self._pass_on(start)
            await self._pass_on(message)
        else:
            await self._pass_on(message)

    async def _begin(self, message: Message) -> None:
        message["headers"] = list(message["headers"])
        headers = MutableHeaders(raw=message["headers"])
        if message["status"] == 200:
            for name, value in self._state().get(DECLARED, {}).items():
                if name == "Vary":
                    add_vary(headers, [value])
                elif name not in headers:
                    headers[name] = value
        if "set-cookie" in headers and "public" in headers.get("cache-control", ""):
            headers["Cache-Control"] = "private, no-cache"
        if message["status"] == 200 and "set-cookie" not in headers:
            if "etag" in headers or "last-modified" in headers:
                if await self._shortened(message, headers):
                    return
            elif self._may_be_tagged(headers):
                self._start = message
                return
        await self._pass_on(message)

    async def _shortened(self, start: Message, headers: MutableHeaders) -> bool:
        """Send a 304 in place of the answer if the client has it."""
        if not self._is_known(headers):
            return False
        kept = [(name, value) for name, value in headers.raw if name.lower() in _REPEATED]
        await self._pass_on({**start, "status": 304, "headers": kept})
        await self._pass_on({"type": "http.response.body", "body": b""})
        self._dropped = True
        return True

    def _is_known(self, headers: MutableHeaders) -> bool:
        request = Headers(scope=self._scope)
        if "range" in request:
            return False
        if (given := request.get("if-none-match")) is not None:
            return "etag" in headers and has(given, headers["etag"])
        return _is_not_newer(headers.get("last-modified"), request.get("if-modified-since"))

    def _may_be_tagged(self, headers: MutableHeaders) -> bool:
        if self._scope["method"] != "GET" or "content-length" not in headers or "csrf_mask" in self._state():
            return False
        if not headers.get("content-type", "").startswith(TAGGED_TYPES) or "no-store" in headers.get(
            "cache-control", ""
        ):
            return False
        return not is_personal(self._scope)

    def _state(self) -> dict[str, dict[str, str]]:
        state: dict[str, dict[str, str]] = self._scope.get("state", {})
        return state


def _is_not_newer(modified: str | None, since: str | None) -> bool:
    if not modified or not since:
        return False
    try:
        return parsedate_to_datetime(modified) <= parsedate_to_datetime(since)
    except (TypeError, ValueError):
        return False
