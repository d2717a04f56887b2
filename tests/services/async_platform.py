"""What `https://<service>.leapcell-async.dev` does, as far as that is known: it takes a request, and delivers it later.

Nothing is promised by the platform: a test drops, repeats, delays and reorders what has been taken.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

import httpx

Deliver = Callable[["Taken"], Awaitable[httpx.Response]]


@dataclass(frozen=True)
class Taken:
    """A request that was written into the platform's queue."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    async def deliver(self, client: httpx.AsyncClient) -> httpx.Response:
        """Call the application with it, as it came."""
        kept = {name: value for name, value in self.headers.items() if name in ("authorization", "content-type")}
        return await client.request(self.method, self.path, headers=kept, content=self.body)


class AsyncPlatform:
    """A real HTTP server on this machine. `taken` is its queue."""

    def __init__(self, *, status: int = 202) -> None:
        self.taken: list[Taken] = []
        self.status = status
        self.connections = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, path, _ = head[0].split(" ")
            headers = dict(line.lower().split(": ", 1)[:1] + line.split(": ", 1)[1:] for line in head[1:] if line)
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.taken.append(Taken(method, path, headers, body))
            writer.write(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
            await writer.drain()
        finally:
            writer.close()

    async def deliver_badly(
        self, client: httpx.AsyncClient, *, seed: int, drop: float = 0.3, repeat: float = 0.4, tries: int = 5
    ) -> list[httpx.Response]:
        """Deliver all that was taken, in another order, some not at all and some twice, several at a time.

        What is not answered with 2xx is delivered again, up to `tries` times.
        """
        chance = random.Random(seed)
        requests, self.taken = self.taken, []
        requests = [request for request in requests if chance.random() >= drop]
        requests += [request for request in requests if chance.random() < repeat]
        chance.shuffle(requests)
        workers = asyncio.Semaphore(4)

        async def deliver(request: Taken) -> list[httpx.Response]:
            answers: list[httpx.Response] = []
            while len(answers) < tries and not (answers and answers[-1].is_success):
                async with workers:
                    answers.append(await request.deliver(client))
            return answers

        delivered = await asyncio.gather(*(deliver(request) for request in requests))
        return [answer for answers in delivered for answer in answers]
