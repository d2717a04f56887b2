"""After a write: the position of the database that the client's next reads must show, in a cookie and a header.

Only with DATABASE_READ_URL. It costs a request that writes one round trip to the primary.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.core.dependencies import POSITION_COOKIE, POSITION_HEADER, READ_ONLY_METHODS, find_runtime
from fastopp.database.replica import Writes, current_writes, format_position
from fastopp.web.cookies import set_cookie

LIFETIME: Final = 60 * 60  # seconds; a replica that is further behind is of no use


class PositionMiddleware:
    """Adds to the answer of a request that has written how far a replica must be for its client."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        writes = Writes()

        async def send_with_position(message: Message) -> None:
            if message["type"] == "http.response.start" and _has_written(scope, message, writes):
                runtime = find_runtime(scope)
                if runtime is not None:
                    position = format_position(await runtime.database.position())
                    told = Response()
                    set_cookie(HTTPConnection(scope), told, POSITION_COOKIE, position, max_age=LIFETIME)
                    cookies = [header for header in told.raw_headers if header[0] == b"set-cookie"]
                    message["headers"] = [
                        *message.get("headers", ()),
                        *cookies,
                        (POSITION_HEADER.lower().encode(), position.encode()),
                    ]
            await send(message)

        before = current_writes.set(writes)
        try:
            await self.app(scope, receive, send_with_position)
        finally:
            current_writes.reset(before)


def _has_written(scope: Scope, message: Message, writes: Writes) -> bool:
    """Return whether the request may have written. Of an unsafe one, anything may have, in a way that is not seen."""
    if scope["method"] not in READ_ONLY_METHODS:
        return True
    headers = dict(message.get("headers", ()))
    return writes.happened and b"public" not in headers.get(b"cache-control", b"")
