"""The connections to PostgreSQL that clients share."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from pathlib import Path
from typing import Protocol

from leapcell_emulator.services import postgres_wire as wire

QUERY_WAIT = 120.0  # seconds to wait for a server connection; pgbouncer's query_wait_timeout
MIN_CONNECTIONS = 3  # server connections that take turns


class Owner(Protocol):
    """The clients that have a server connection at the moment."""

    async def hear(self, messages: list[bytes]) -> None:
        """Take what the server says."""

    def lose(self) -> None:
        """The server closed the connection."""


class ServerConnection:
    """One connection to PostgreSQL. It reads all the time, so that one that dies while it is idle is not handed out.

    owner: the receiver of its messages, optional.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.owner: Owner | None = None
        self.closed = False
        self.parameters: dict[str, str] = {}
        self.key = b""
        """With which to cancel a query."""
        self._listening: asyncio.Task[None] | None = None

    def note(self, received: bytes) -> None:
        """Keep what a message of the server's says about the connection."""
        if received[:1] == wire.PARAMETER_STATUS:
            name, value = wire.parameter(received)
            self.parameters[name] = value
        elif received[:1] == wire.KEY_DATA:
            self.key = received[5:]

    async def sign_in(self, startup: bytes) -> None:
        """Sign in where no password is asked for. Raises ConnectionResetError if the server will not have it."""
        self.writer.write(startup)
        kind = b""
        while kind != wire.READY:
            received = await wire.read_message(self.reader)
            self.note(received)
            kind = received[:1]
            if kind == wire.ERROR:
                raise ConnectionResetError("the server refused the connection")
        self.listen()

    def listen(self) -> None:
        """Read from now on, once signed in."""
        self._listening = asyncio.create_task(self._listen())

    async def set(self, parameters: dict[str, str]) -> None:
        """Change settings."""
        quoted = {name: value.replace("'", "''") for name, value in parameters.items()}
        answer = _Answer()
        self.owner = answer
        self.writer.write(wire.query("".join(f"SET {name} TO '{value}';" for name, value in quoted.items())))
        await answer.ready
        self.owner = None

    def close(self) -> None:
        """Close it."""
        self.closed = True
        self.owner = None
        if self._listening and self._listening is not asyncio.current_task():
            self._listening.cancel()
        self.writer.close()

    async def _listen(self) -> None:
        framer = wire.Framer()
        with contextlib.suppress(OSError):
            while data := await self.reader.read(wire.CHUNK):
                messages = framer.feed(data)
                for received in messages:
                    self.note(received)
                if self.owner:
                    await self.owner.hear(messages)
        self.closed = True
        if self.owner:
            self.owner.lose()


class _Answer:
    """Waits for the end of what was asked."""

    def __init__(self) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def hear(self, messages: list[bytes]) -> None:
        if any(received[:1] == wire.READY for received in messages) and not self.ready.done():
            self.ready.set_result(None)

    def lose(self) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("the server closed the connection"))


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
        with contextlib.ExitStack() as undo:
            undo.callback(self._free.release)
            for dead in [server for server in self._idle if server.closed]:
                self._idle.remove(dead)
                self.discard(dead)
            rested = self._idle and self.open >= min(MIN_CONNECTIONS, self.size)
            server = self._idle.popleft() if rested else await self._connect()
            undo.pop_all()
        return server

    def give(self, server: ServerConnection) -> None:
        """Return what `take` gave, at the end of a transaction."""
        server.owner = None
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
        with contextlib.ExitStack() as undo:
            undo.callback(self.discard, server)
            await server.sign_in(self._startup)
            undo.pop_all()
        return server
