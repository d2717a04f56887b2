"""The largest request body, and a proper answer to a larger one."""

from __future__ import annotations

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.web.problems import answer

MIB = 1024 * 1024
MAX_BODY = 8 * MIB  # bytes: a photo of 5 MiB with its form, and room; a route may set its own `max_body_size`

TOO_LARGE = 413


class BodyLimitMiddleware:
    """Starlette's limit, with our answer in place of its line of plain text."""

    def __init__(self, app: ASGIApp, max_body_size: int = MAX_BODY) -> None:
        self.limited = RequestBodyLimitMiddleware(app, max_body_size=max_body_size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_starlettes(message):
                replaced = True
                response = await answer(Request(scope, receive), HTTPException(TOO_LARGE))
                await response(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.limited(scope, receive, send_problem)


def _is_starlettes(message: Message) -> bool:
    content_type = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] == TOO_LARGE and content_type.startswith("text/plain")
