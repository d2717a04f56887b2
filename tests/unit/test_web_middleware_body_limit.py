"""Bodies that never end, and bodies that come slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from fastopp.web.middleware import body_limit
from fastopp.web.middleware.body_limit import MAX_BODY, BodyMiddleware

CHUNKED = [(b"transfer-encoding", b"chunked")]


async def read(receive: Receive, headers: list[tuple[bytes, bytes]]) -> int | HTTPException:
    """How much of a body a handler gets, or what it is refused with."""
    found: list[int | HTTPException] = []

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            found.append(len(await Request(scope, receive).body()))
        except HTTPException as error:
            found.append(error)

    async def send(message: Message) -> None: ...

    await BodyMiddleware(handler)({"type": "http", "path": "/", "headers": headers}, receive, send)
    return found[0]


def pieces(size: int, more: Callable[[], bool] = lambda: True) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * size, "more_body": more()}

    return receive


@pytest.mark.parametrize("headers", [CHUNKED, [], [(b"content-length", b"nonsense")]])
async def test_what_never_ends_is_cut_off_at_the_limit(headers: list[tuple[bytes, bytes]]) -> None:
    refused = await read(pieces(1000), headers)
    assert isinstance(refused, HTTPException)
    assert refused.status_code == 413


async def test_the_limit_itself_is_let_in() -> None:
    assert await read(pieces(MAX_BODY, lambda: False), CHUNKED) == MAX_BODY


async def test_a_body_that_stops_coming_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "FIRST_WAIT", 0.01)
    forever = asyncio.Event()

    async def receive() -> Message:
        await forever.wait()
        raise AssertionError

    refused = await read(receive, CHUNKED)
    assert isinstance(refused, HTTPException)
    assert (refused.status_code, refused.headers) == (408, {"Connection": "close"})


async def test_a_body_that_trickles_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "FIRST_WAIT", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"x", "more_body": True}

    refused = await read(receive, CHUNKED)
    assert isinstance(refused, HTTPException)
    assert refused.status_code in (408, 413)


async def test_who_waits_for_the_end_of_the_connection_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "FIRST_WAIT", 0.0)
    gone = asyncio.Event()
    messages: list[str] = []

    async def receive() -> Message:
        if not messages:
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def handler(scope: Scope, receive: Receive, send: Send) -> None:
        messages.append((await receive())["type"])
        asyncio.get_running_loop().call_later(0.02, gone.set)
        messages.append((await receive())["type"])

    async def send(message: Message) -> None: ...

    await BodyMiddleware(handler)({"type": "http", "path": "/", "headers": []}, receive, send)
    assert messages == ["http.request", "http.disconnect"]
