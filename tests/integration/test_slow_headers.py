"""Connections whose headers never come do not stay open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from fastopp.cli.http_protocol import HeaderTimeoutProtocol


class Impatient(HeaderTimeoutProtocol):
    header_timeout = 0.2


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that answers each request after twice the time that headers have."""

    async def application(scope, receive, send) -> None:
        await asyncio.sleep(0.4)
        await PlainTextResponse("done")(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(application, port=0, http=Impatient, lifespan="off", log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.mark.parametrize("start", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b"])
async def test_a_connection_without_headers_is_closed(port: int, start: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(start)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_a_slow_second_request_is_closed_too_and_slow_answers_are_not(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = b"GET / HTTP/1.1\r\nHost: a\r\n"
    async with asyncio.timeout(20):
        writer.write(request + b"\r\n")
        assert b"200 OK" in await reader.readuntil(b"done")
        writer.write(request)
        assert await reader.read() == b""
    writer.close()
