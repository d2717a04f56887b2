"""Connections from the gateway to one instance, kept alive between requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from leapcell_emulator.upstream_connection import Connection, Interrupted

IDLE_CONNECTION: Final = 1.5  # seconds; below the shortest keep-alive of the usual servers (gunicorn's 2 s)
# Methods whose requests may be sent again where the connection ended before an answer: RFC 9110, 9.2.2.
_REPEATABLE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


class InstanceGone(Interrupted):
    """Nothing listens any more."""


class Upstream:
    """The connections to one instance."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: list[Connection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def ask(
        self, method: str, head: bytes, body: AsyncIterator[bytes] | None = None, *, chunked: bool = False
    ) -> Connection:
        """Send a request, and return its answer when its head is there. Call `release` on it.

        chunked: whether the head says that the body comes in chunks.

        Raises `Interrupted`, and what `body` raises.
        """
        while True:
            connection = self._pick() or await self._connect()
            try:
                await connection.ask(method, head, body, chunked=chunked)
            except Interrupted:
                connection.release()
                # The instance closed an idle connection while the request was on its way.
                if connection.used and not connection.status and body is None and method in _REPEATABLE:
                    continue
                raise
            except BaseException:
                connection.release()
                raise
            return connection

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            connection.close()
            return
        connection.used = True
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_CONNECTION, self._close_old)

    def close(self) -> None:
        """Close those that carry no request, and keep none any more."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.close()
        self._idle = []

    def _pick(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.lost and time.monotonic() - connection.idle_since < IDLE_CONNECTION:
                return connection
            connection.close()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: Connection(self.keep), self._host, self._port)
        except OSError as error:
            raise InstanceGone("it has ended") from error
        return connection

    def _close_old(self) -> None:
        now = time.monotonic()
        self._sweep = None
        for connection in self._idle:
            if now - connection.idle_since >= IDLE_CONNECTION:
                connection.close()
        self._idle = [connection for connection in self._idle if not connection.lost]
        if self._idle:
            self._sweep = asyncio.get_running_loop().call_later(IDLE_CONNECTION, self._close_old)
