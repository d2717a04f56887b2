"""Redirects within this site, without its name.

Frameworks build them from the `Host` header, which a client or a cache in between may have made up. A `Location` that
names no host is taken by the client to be on the host that it asked (RFC 9110, 10.2.2).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import URL
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RelativeRedirectMiddleware:
    """Take scheme and host out of every `Location` that is the requested site's own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    (name, relative(value.decode("latin-1"), scope).encode("latin-1"))
                    if name.lower() == b"location"
                    else (name, value)
                    for name, value in message["headers"]
                ]
            await send(message)

        await self.app(scope, receive, send_relative)


def relative(location: str, scope: Scope) -> str:
    """Return an address of the requested site as a path with its query; any other address as it is."""
    try:
        parts, own = urlsplit(location), URL(scope=scope).netloc
    except ValueError:
        return location
    if parts.scheme not in ("http", "https") or parts.netloc.lower() != own.lower():
        return location
    rest = location.partition("://")[2][len(parts.netloc) :]
    # Two slashes would begin another host, and browsers read a backslash as a slash.
    return "/" + rest.lstrip("/\\") if rest.startswith(("/", "\\")) or not rest else f"/{rest}"
