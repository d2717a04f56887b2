"""The largest request body, and who may send one at all.

A body costs memory before any handler sees it: parsed JSON takes up to fifty times its size. So the limit is 64 KiB
unless the route declares more, and the caller's rights are checked before the first byte is read.
"""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.errors import FastOppError
from fastopp.web.doors import BodyRefused, Door, doors_of, selected_routes, takes_file, takes_form
from fastopp.web.problems import answer

KIB = 1024
MAX_BODY = 64 * KIB  # bytes, unless the route sets its own `max_body_size`
MAX_OPEN_FORM = 48 * KIB  # bytes of a urlencoded form from anyone: while an escape is decoded, it takes 67 bytes for 3
MAX_FORM = 8 * KIB * KIB  # bytes of a form: a photo of 5 MiB and room; files beyond 1 MiB are spooled to disk

# A body that comes slower holds a connection, and what its handler has opened, for ever.
FIRST_WAIT = 30.0  # seconds that any body may take
SLOWEST = 4 * KIB  # bytes a second beyond that: half of a bad mobile connection

TOO_LARGE, TOO_SLOW = 413, 408


class BodyMiddleware:
    """Let a body in only for a caller who may call the route, and only up to the route's limit."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced = False

        async def send_problem(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and _is_starlettes(message):
                replaced = True
                response = await answer(Request(scope, receive), HTTPException(TOO_LARGE))
                await response(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, _Body(scope, receive).receive, send_problem)


class _Body:
    """The body of one request."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope = scope
        self._receive = receive
        headers = Headers(scope=scope)
        self._announced = _content_length(headers)
        self._checked = self._announced == 0 and "transfer-encoding" not in headers  # then there is no body
        self._urlencoded = headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
        self._limit = MAX_BODY
        self._size = 0
        self._complete = False
        self._began: float | None = None

    async def receive(self) -> Message:
        """Return the next message. Raises BodyRefused, and HTTPException for a body that is too large or too slow."""
        if not self._checked:
            await self._check()
        if self._complete:  # what comes now is the end of the connection
            return await self._receive()
        message = await self._in_time()
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > self._limit:
            raise HTTPException(TOO_LARGE)
        return message

    async def _in_time(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        try:
            async with asyncio.timeout_at(self._began + FIRST_WAIT + self._size / SLOWEST):
                return await self._receive()
        except TimeoutError:
            raise HTTPException(TOO_SLOW, headers={"Connection": "close"}) from None

    async def _check(self) -> None:
        # Only now: routing has put the selected route into the scope.
        self._checked = True
        doors: list[Door] = []
        for route in selected_routes(self._scope):
            doors += doors_of(route.dependant)
            if takes_file(route.dependant) or (doors and takes_form(route)):
                self._limit = MAX_FORM
        if not doors and self._urlencoded:
            self._limit = MAX_OPEN_FORM
        self._limit = self._scope.get(MAX_BODY_SIZE_SCOPE_KEY, self._limit)
        try:
            for door in dict.fromkeys(doors):
                await door(Request(self._scope, self._receive))
        except FastOppError as error:
            raise BodyRefused(error) from error
        if self._announced > self._limit:
            raise HTTPException(TOO_LARGE)


def _content_length(headers: Headers) -> int:
    try:
        return int(headers.get("content-length", "0"))
    except ValueError:
        return 0


def _is_starlettes(message: Message) -> bool:
    content_type = Headers(raw=message["headers"]).get("content-type", "")
    return message["status"] == TOO_LARGE and content_type.startswith("text/plain")
