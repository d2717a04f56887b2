"""The headers of every response: request id and security headers; and HEAD answered wherever GET is.

All are plain ASGI middleware: they stream, and they cover mounted applications and static files too.
"""

from __future__ import annotations

import re
import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.logs import request_id as request_id_of_logs
from fastopp.settings import Settings
from fastopp.web.cookies import HOST_PREFIX
from fastopp.web.nonces import nonce_of

REQUEST_ID = "X-Request-ID"
HSTS = "max-age=31536000"  # a year; no includeSubDomains, since a platform's domain is shared

_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{8,128}")

# SQLAdmin's pages have inline scripts and styles; the policy is loosened for them only.
LOOSE_PATH = "/admin"


class RequestIdMiddleware:
    """Gives each request an id: `request.state.request_id`, and `X-Request-ID` on the answer.

    An incoming id is kept when it looks like one, so that a trace may span several services.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _SANE_REQUEST_ID.fullmatch(given) else secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        known = request_id_of_logs.set(request_id)
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            request_id_of_logs.reset(known)


class HeadMiddleware:
    """Answers HEAD wherever GET is answered (RFC 9110, 9.3.2): monitors and link checkers ask so.

    Files under /static answer HEAD themselves, without reading the file.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or scope["method"] == "GET" or scope["path"].startswith("/static/"):
            await self.app(scope, receive, send)
            return
        if scope["method"] != "HEAD":
            await self.app(scope, receive, _allowing_head(send))
            return

        inner = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            scope["route"], scope["root_path"] = inner.get("route"), inner.get("root_path", "")
            if message["type"] == "http.response.body":
                message = {"type": "http.response.body", "more_body": message.get("more_body", False)}
            await send(message)

        await self.app(inner, receive, send_head)


def _allowing_head(send: Send) -> Send:
    """Name HEAD beside GET in the `Allow` header of an answer: routes know nothing of it."""

    async def send_with_head(message: Message) -> None:
        if message["type"] == "http.response.start" and any(name == b"allow" for name, _ in message["headers"]):
            message["headers"] = [
                (name, _with_head(value) if name == b"allow" else value) for name, value in message["headers"]
            ]
        await send(message)

    return send_with_head


def _with_head(methods: bytes) -> bytes:
    names = [name.strip() for name in methods.split(b",")]
    return b", ".join([*names, b"HEAD"]) if b"GET" in names and b"HEAD" not in names else methods


class SecurityHeadersMiddleware:
    """Sets the headers that narrow what a browser will do with an answer, where the handler did not.

    Over HTTPS, all cookies become `Secure` here.
    """

    def __init__(self, app: ASGIApp, *, production: bool, asset_origin: str = "", static_source: str = "") -> None:
        self.app = app
        strict = content_security_policy(asset_origin, static_source)
        loose = content_security_policy(asset_origin, static_source, loose=True)
        # As they go over the wire: this runs for every answer.
        self.strict = _raw({**_COMMON, "Content-Security-Policy": strict})
        self.loose = _raw({**_COMMON, "Content-Security-Policy": loose})
        self.lasting = _raw({"Strict-Transport-Security": HSTS}) if production else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loose = _is_loose(scope["path"])
        headers = self.loose if loose else self.strict
        if is_personal(scope):
            headers = [*headers, _NO_STORE]
        https = scope["scheme"] == "https"

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = list(message["headers"])
                if https:
                    answer = [_secured(name, value) for name, value in answer]
                present = {name.lower() for name, _ in answer}
                wanted = [*headers, *self.lasting] if https else headers
                if message["status"] == 304:
                    # The browser's copy keeps its own policy, which names the nonce in it.
                    wanted = [header for header in wanted if header[0] != b"content-security-policy"]
                answer += [header for header in wanted if header[0] not in present]
                nonce = None if loose else nonce_of(scope)
                message["headers"] = answer if nonce is None else [_with_nonce(header, nonce) for header in answer]
            await send(message)

        await self.app(scope, receive, send_with_headers)


_NO_STORE = (b"cache-control", b"no-store")
_SIGN_IN_COOKIES = frozenset({"access_token", "session"})

_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def is_personal(scope: Scope) -> bool:
    """Return whether a response may hold personal data: the request says who sends it, and is for no static file."""
    if scope["path"].startswith("/static/"):
        return False
    connection = HTTPConnection(scope)
    return "authorization" in connection.headers or any(
        name.removeprefix(HOST_PREFIX) in _SIGN_IN_COOKIES for name in connection.cookies
    )


def content_security_policy(asset_origin: str = "", static_source: str = "", *, loose: bool = False) -> str:
    """The policy of our pages, or the loose one of pages that others wrote; see LOOSE_PATH.

    `asset_origin` is where uploaded files may come from, and go to, beside this site: origins (scheme and host)
    with a space between them. `static_source` is the folder of the static files at a CDN. A folder, since other sites
    may have files of theirs at the same host.
    """
    inline = " 'unsafe-inline'" if loose else ""
    code = f"'self'{inline} {static_source}".rstrip()
    images = f"{asset_origin} {static_source}".strip()
    directives = {
        "default-src": "'self'",
        "script-src": code,
        "style-src": code,
        **({"font-src": f"'self' {static_source}"} if static_source else {}),
        "img-src": f"'self' data: blob: {images}".rstrip(),
        "media-src": f"'self' {images}".rstrip(),
        "connect-src": f"'self' {asset_origin}".rstrip(),
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def origin_of(url: str) -> str:
    """Scheme and host of an address, or an empty text."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme and parts.netloc else ""


def asset_origin(settings: Settings) -> str:
    """Return the origins of the Object Storage for browsers: its public address, and that of presigned URLs."""
    bucket = settings.s3_endpoint if settings.uses_object_storage else ""
    return " ".join(dict.fromkeys(filter(None, map(origin_of, (settings.s3_cdn_url, bucket)))))


def _is_loose(path: str) -> bool:
    return path == LOOSE_PATH or path.startswith(LOOSE_PATH + "/")


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _with_nonce(header: tuple[bytes, bytes], nonce: str) -> tuple[bytes, bytes]:
    name, value = header
    if name.lower() != b"content-security-policy":
        return header
    allowed = f" 'self' 'nonce-{nonce}'".encode()
    for directive in (b"script-src", b"style-src"):
        value = value.replace(directive + b" 'self'", directive + allowed)
    return name, value


def _secured(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.lower() == b"set-cookie" and b"; secure" not in value.lower():
        value += b"; Secure"
    return name, value
