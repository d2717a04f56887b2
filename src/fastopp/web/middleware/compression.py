"""Compress answers for the clients that accept it, with Zstandard, Brotli or gzip."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.web.vary import add_vary

STREAM = "text/event-stream"
"""Left as it is: each open stream would keep the memory of a compressor."""


class CompressionMiddleware:
    """Compress text, JSON and the like.

    A page with a secret and a text that another site chooses could reveal the secret by its length ("BREACH").
    The token of forms is the only secret of our pages, and has another mask in each (`csrf_tokens`).
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._compressed: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "accept-encoding" not in Headers(scope=scope):
            await self.app(scope, receive, _varying(send))
            return
        if self._compressed is None:
            self._compressed = _compressed(self.app)
        await self._compressed(scope, receive, _varying(send))


def _varying(send: Send) -> Send:
    """Have an answer that may be kept say that it is another one for other encodings, also one that is not compressed.

    Without it a cache would give the answer of a client that takes no encoding to all, and a 304 has to say it, too.
    """

    async def send_varying(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = list(message["headers"])
            headers = MutableHeaders(raw=message["headers"])
            if "etag" in headers:
                add_vary(headers, ["Accept-Encoding"])
        await send(message)

    return send_varying


def _compressed(app: ASGIApp) -> ASGIApp:
    from starlette_compress import CompressMiddleware, remove_compress_type  # noqa: PLC0415 - three codecs, which health paths do not need

    remove_compress_type(STREAM)
    return CompressMiddleware(app)
