"""A load generator that costs next to nothing: raw sockets, kept alive, one request after another on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType


class _Connection(asyncio.Protocol):
    """Asks for the same thing as long as the shared iterator says, and waits for each whole answer."""

    def __init__(self, request: bytes, status: int, remaining: list[int], done: asyncio.Future[None]) -> None:
        self.expected = f"HTTP/1.1 {status}".encode()
        self.request = request
        self.remaining = remaining
        self.done = done
        self.missing = 0  # bytes of the present answer's body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        if not self.missing:
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith(self.expected):
                self._end(RuntimeError(head.decode().splitlines()[0]))
                return
            _, _, length = head.lower().partition(b"content-length: ")
            self.missing = int(length.partition(b"\r\n")[0] or 0)
        self.missing -= len(data)
        if not self.missing:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or ConnectionError("The server hung up."))

    def _ask(self) -> None:
        if self.remaining[0]:
            self.remaining[0] -= 1
            self.transport.write(self.request)
        else:
            self._end(None)

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error) if error else self.done.set_result(None)
        self.transport.close()


async def load(
    port: int,
    path: str,
    requests: int,
    *,
    connections: int = 8,
    headers: Mapping[str, str] = MappingProxyType({}),
    status: int = 200,
) -> float:
    """Send GET requests over keep-alive connections; returns the requests per second.

    Raises RuntimeError at the first answer that has another status.
    """
    loop = asyncio.get_running_loop()
    further = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{further}\r\n".encode()
    remaining = [requests]
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(request, status, remaining, end), "127.0.0.1", port)  # type: ignore[misc] # mypy does not infer a lambda with a default
    await asyncio.gather(*ends)
    return requests / (time.perf_counter() - began)
