"""Compress answers for the clients that accept it, with Zstandard, Brotli or gzip."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

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
        if scope["type"] != "http" or "accept-encoding" not in Headers(scope=scope):
            await self.app(scope, receive, send)
            return
        if self._compressed is None:
            self._compressed = _compressed(self.app)
        await self._compressed(scope, receive, send)


def _compressed(app: ASGIApp) -> ASGIApp:
    from starlette_compress import CompressMiddleware, remove_compress_type  # noqa: PLC0415 - three codecs, which health paths do not need

    remove_compress_type(STREAM)
    return CompressMiddleware(app)
