"""Requests that write, sent to the region of the database by the platform's proxy, before anything is read of them.

One hop instead of one for each query. A request that has come from another region is never sent on. One that is too
large to be sent is served here, which is as correct, since writes go to the primary from everywhere.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp.core.dependencies import READ_ONLY_METHODS
from fastopp.settings import Settings

_REGION: Final = re.compile(r"[a-z0-9-]{1,20}")


def replay_target(settings: Settings) -> str:
    """Return the region that requests which write are sent to; empty where none are."""
    region = settings.writing_region
    return region if settings.platform.replay_header and _REGION.fullmatch(region) else ""


class ReplayMiddleware:
    """Has the proxy send requests that write to a region."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        platform = settings.platform
        self._answer = (str(platform.replay_header).encode(), f"region={replay_target(settings)}".encode())
        self._replayed = platform.replayed_header or ""
        self._largest = platform.max_replayed_body or 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if (
            scope["type"] != "http"
            or scope["method"] in READ_ONLY_METHODS
            or not self._can_be_sent(Headers(scope=scope))
        ):
            await self.app(scope, receive, send)
            return
        # The client sees the other region's answer, and nothing of this one.
        headers = [self._answer, (b"cache-control", b"no-store"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _can_be_sent(self, headers: Headers) -> bool:
        size = headers.get("content-length", "0")
        small = "transfer-encoding" not in headers and size.isdecimal() and int(size) <= self._largest
        return small and self._replayed not in headers
