"""A server on loopback that takes messages as a webhook does, and can misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HUGE = 64 * 1024 * 1024  # bytes of a body that nobody should read


class Received(NamedTuple):
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WebhookServer:
    """What came, and what is answered."""

    port: int = 0
    received: list[Received] = field(default_factory=list)
    status: int = 200
    headers: str = ""
    """Of the answer, each with its line end."""
    silent: bool = False
    """Whether it takes requests and does not answer."""
    huge: bool = False
    sent: int = 0
    """Bytes of huge bodies that were sent."""

    def url(self, path: str = "/hook") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split(" ")
            self.received.append(Received(method, path, headers, body))
            if self.silent:
                await asyncio.Event().wait()
            size = HUGE if self.huge else 2
            answer = f"HTTP/1.1 {self.status} Some\r\n{self.headers}content-length: {size}\r\nconnection: close\r\n\r\n"
            writer.write(answer.encode())
            if self.huge:
                while self.sent < HUGE:
                    writer.write(bytes(65536))
                    await writer.drain()
                    self.sent += 65536
            else:
                writer.write(b"ok")
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def webhook_server() -> AsyncIterator[WebhookServer]:
    """Serve until the end of the block."""
    hook = WebhookServer()
    server = await asyncio.start_server(hook.accept, "127.0.0.1", 0)
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()
