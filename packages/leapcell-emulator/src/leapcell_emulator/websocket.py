"""A WebSocket between a client and an instance: only where the rules allow one, which LeapCell's do not (E8)."""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from leapcell_emulator.instance import Instance

# What each side of the gateway negotiates for itself: RFC 6455, 4.1.
_HANDSHAKE: Final = frozenset(
    {"sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol", "host"}
)


async def relay(request: web.BaseRequest, instance: Instance, headers: CIMultiDict[str]) -> web.WebSocketResponse:
    """Pass messages on in both directions until one side ends it.

    Raises `aiohttp.ClientError` when the instance refuses it.
    """
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()]
    passed = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _HANDSHAKE)
    url = URL(instance.url(request.raw_path), encoded=True)
    async with instance.session.ws_connect(url, headers=passed, protocols=offered, max_msg_size=0) as theirs:
        ours = web.WebSocketResponse(protocols=[theirs.protocol] if theirs.protocol else (), max_msg_size=0)
        await ours.prepare(request)
        directions = {asyncio.create_task(_pass_on(ours, theirs)), asyncio.create_task(_pass_on(theirs, ours))}
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
        code = theirs.close_code or aiohttp.WSCloseCode.OK
        await ours.close(code=code)
    return ours


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _pass_on(source: _Socket, target: _Socket) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            await target.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
