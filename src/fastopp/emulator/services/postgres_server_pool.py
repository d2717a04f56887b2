"""The connections to PostgreSQL that clients share."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path

from fastopp.emulator.services import postgres_wire as wire

QUERY_WAIT = 120.0  # seconds to wait for a server connection; pgbouncer's query_wait_timeout
MIN_CONNECTIONS = 3  # server connections that take turns


class ServerConnection:
    """One connection to PostgreSQL, signed in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.framer = wire.Framer()
        self.parameters: dict[str, str] = {}
        self.key = b""
        """With which to cancel a query."""

    def note(self, received: bytes) -> None:
        """Keep what a message of the server's says about the connection."""
        if received[:1] == wire.PARAMETER_STATUS:
            name, value = wire.parameter(received)
            self.parameters[name] = value
        elif received[:1] == wire.KEY_DATA:
            self.key = received[5:]

    async def messages(self) -> AsyncIterator[list[bytes]]:
        """What the server sends, whole messages at a time, until it closes."""
        while data := await self.reader.read(wire.CHUNK):
            messages = self.framer.feed(data)
            for received in messages:
                self.note(received)
            yield messages

    async def until_ready(self) -> None:
        """Wait for the end of what was asked."""
        async for messages in self.messages():
            if any(received[:1] == wire.READY for received in messages):
                return
        raise ConnectionResetError("the server closed the connection")

    def close(self) -> None:
        """Close it."""
        self.writer.close()


class ServerPool:
    """The server connections for one user and database."""

    def __init__(self, socket: Path, user: str, database: str, *, size: int) -> None:
        self.socket = socket
        self.size = size
        self.open = 0
        self._startup = wire.startup_packet({"user": user, "database": database})
        self._free = asyncio.Semaphore(size)
        self._idle: deque[ServerConnection] = deque()

    async def take(self) -> ServerConnection:
        """A server connection for one transaction: the one that rested longest. Waits while all are taken.

        Raises TimeoutError when none comes free within QUERY_WAIT.
        """
        async with asyncio.timeout(QUERY_WAIT):
            await self._free.acquire()
        try:
            while self._idle and self._idle[0].reader.at_eof():
                self.discard(self._idle.popleft())
            if self._idle and self.open >= min(MIN_CONNECTIONS, self.size):
                return self._idle.popleft()
            return await self._connect()
        except BaseException:
            self._free.release()
            raise

    def give(self, server: ServerConnection) -> None:
        """Return what `take` gave, at the end of a transaction."""
        self._free.release()
        self._idle.append(server)

    def lose(self, server: ServerConnection) -> None:
        """Close what `take` gave, since a transaction was left open on it or it broke."""
        self._free.release()
        self.discard(server)

    def put_back(self, server: ServerConnection) -> None:
        """Keep a connection that a client has signed in with, if there is room."""
        self.open += 1
        if self.open <= self.size:
            self._idle.append(server)
        else:
            self.discard(server)

    def discard(self, server: ServerConnection) -> None:
        """Close a connection."""
        self.open -= 1
        server.close()

    def close(self) -> None:
        """Close those that rest."""
        while self._idle:
            self.discard(self._idle.popleft())

    async def _connect(self) -> ServerConnection:
        server = ServerConnection(*await asyncio.open_unix_connection(str(self.socket), limit=wire.CHUNK))
        self.open += 1
        try:
            server.writer.write(self._startup)
            await server.until_ready()
        except BaseException:
            self.discard(server)
            raise
        return server
