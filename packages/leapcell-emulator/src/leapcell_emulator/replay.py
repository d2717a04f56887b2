"""Send a request again that the gateway has kept."""

from __future__ import annotations

import time
from typing import Final

import aiohttp
from yarl import URL

from leapcell_emulator.errors import Conflict
from leapcell_emulator.traffic import Exchange

# Written by the client, or of this connection only.
_LEFT_OUT: Final = ("host", "content-length", "transfer-encoding", "connection", "expect")


class NotComplete(Conflict):
    """The request's body was not kept in full, so it cannot be sent again."""


async def replay(exchange: Exchange, url: str) -> str:
    """Send it to the public address and describe the answer. Raises `NotComplete`."""
    if not exchange.read or exchange.bytes_in != len(exchange.body):
        raise NotComplete
    headers = [(name, value) for name, value in exchange.headers if name.lower() not in _LEFT_OUT]
    begun = time.perf_counter()
    try:
        async with (
            aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(
                exchange.method,
                URL(url + exchange.path, encoded=True),
                headers=headers,
                data=bytes(exchange.body) or None,
                allow_redirects=False,
            ) as answer,
        ):
            size = len(await answer.read())
    except aiohttp.ClientError as error:
        raise Conflict(f"{exchange.method} {exchange.path} was not answered: {error}.") from None
    spent = (time.perf_counter() - begun) * 1000
    return f"{exchange.method} {exchange.path} was answered with {answer.status}, {size} bytes, in {spent:.0f} ms."
