"""Transaction pooling: a server connection belongs to a client for one transaction, and then to the next one.

pgbouncer is the model, and no package on PyPI has it. What this does not do: it never sends a client a notification
(behind pgbouncer a client may hear its own, in the transaction that has just listened); it lets go of idle server
connections only at the end; it signs a client in through the server itself, on a fresh server connection, while
pgbouncer does so alone; and it knows no `max_prepared_statements`: named prepared statements are always the server
connection's own. As in pgbouncer the settings of `TRACKED` follow the client, and no others do.

To make visible what goes wrong, server connections take turns, as with pgbouncer's `server_round_robin`: a
client's next transaction meets another server connection even when the application is quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import deque
from pathlib import Path

from leapcell_emulator.services import postgres_wire as wire
from leapcell_emulator.services.notices import Notices
from leapcell_emulator.services.postgres_server_pool import ServerConnection, ServerPool

# The settings that follow a client from one server connection to the next, as in pgbouncer.
TRACKED = frozenset({"application_name", "client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"})
_ACCEPTED = frozenset({name.lower() for name in TRACKED} | {"user", "database"})

_SIGN_IN = 4  # times to the server and back, for TCP, TLS and the password
_FINAL_STEP = 12  # AuthenticationSASLFinal, which wants no answer


class Watcher:
    """Inspect what clients send, and report once each kind that does not work behind a pooler."""

    def __init__(self, notices: Notices) -> None:
        self.notices = notices

    def look(self, messages: list[bytes]) -> None:
        """Look at messages on their way to the server."""
        for sent in messages:
            if finding := wire.session_state(sent):
                self.notices.once("pooler", finding)


class Pooler:
    """Shares server connections among clients.

    Parameters
    ----------
    socket: PostgreSQL's unix socket, where the pool needs no password.
    host, port: where PostgreSQL asks for one, to sign clients in.
    size: server connections for a user and database.
    sharing: whether a server connection is shared at all; else a client keeps the one it signed in with.
    watcher: sees what the clients send.
    latency: seconds that what a client sends takes to the server and back.
    """

    def __init__(
        self,
        socket: Path,
        host: str,
        port: int,
        *,
        size: int,
        sharing: bool = True,
        watcher: Watcher | None = None,
        latency: float = 0.0,
    ) -> None:
        self.latency = latency
        self.socket = socket
        self.host = host
        self.port = port
        self.size = size
        self.sharing = sharing
        self.watcher = watcher
        self.clients: dict[bytes, Client] = {}
        """By the key with which each cancels its queries."""
        self._pools: dict[tuple[str, str], ServerPool] = {}

    async def serve(self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client, whose first packet was read already, until it leaves."""
        parameters = wire.startup_parameters(startup)
        unsupported = next((name for name in parameters if not _is_accepted(name)), None)
        if self.sharing and unsupported:
            writer.write(wire.fatal(f"unsupported startup parameter: {unsupported}"))
            return await writer.drain()
        if self.latency:
            await asyncio.sleep(self.latency * _SIGN_IN)
        from_server, to_server = await asyncio.open_connection(self.host, self.port, limit=wire.CHUNK)
        server = ServerConnection(from_server, to_server)
        client = Client(reader, writer, self._pool(parameters), watcher=self.watcher, latency=self.latency)
        with contextlib.ExitStack() as undo:
            undo.callback(server.close)
            to_server.write(startup)
            if not await client.sign_in(server):
                return None
            undo.pop_all()
        self.clients[client.key] = client
        try:
            server.listen()
            if self.sharing:
                client.pool.put_back(server)
            else:
                client.keep(server)
            await client.run()
        finally:
            del self.clients[client.key]
            client.leave()
        return None

    async def cancel(self, packet: bytes) -> None:
        """Pass on what asks that a query be cancelled."""
        client = self.clients.get(packet[8:])
        if client and client.server:
            key = client.server.key
            _, to_server = await asyncio.open_unix_connection(str(self.socket))
            to_server.write((len(key) + 8).to_bytes(4) + packet[4:8] + key)
            to_server.close()  # once that is sent

    @property
    def connections(self) -> int:
        """Server connections open now."""
        kept = 0 if self.sharing else len(self.clients)
        return kept + sum(pool.open for pool in self._pools.values())

    def close(self) -> None:
        """Close the server connections that no client has."""
        for pool in self._pools.values():
            pool.close()

    def _pool(self, parameters: dict[str, str]) -> ServerPool:
        user = parameters.get("user", "")
        of = (user, parameters.get("database", user))
        return self._pools.setdefault(of, ServerPool(self.socket, *of, size=self.size))


def _is_accepted(name: str) -> bool:
    return name.lower() in _ACCEPTED or name.startswith("_pq_.")


class Client:
    """A client that has a server connection only during its transactions."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pool: ServerPool,
        *,
        watcher: Watcher | None,
        latency: float = 0.0,
    ) -> None:
        self.latency = latency
        self.reader = reader
        self.writer = writer
        self.pool = pool
        self.watcher = watcher
        self.key = secrets.token_bytes(8)
        self.server: ServerConnection | None = None
        self._sharing = True
        self._parameters: dict[str, str] = {}
        self._asked: deque[bytes] = deque()  # QUERY or SYNC, for each READY that is still to come
        self._unfinished = False  # parts of an extended query were sent, and no SYNC

    async def sign_in(self, server: ServerConnection) -> bool:
        """Let the server judge the client. Whether it was let in."""
        while True:
            received = await wire.read_message(server.reader)
            server.note(received)
            kind, step = received[:1], int.from_bytes(received[5:9])
            self.writer.write(wire.message(wire.KEY_DATA, self.key) if kind == wire.KEY_DATA else received)
            if kind == wire.READY or kind == wire.ERROR:
                await self.writer.drain()
                self._parameters = {name: server.parameters[name] for name in TRACKED & server.parameters.keys()}
                return kind == wire.READY
            if kind == wire.AUTHENTICATION and step not in (0, _FINAL_STEP):
                await self.writer.drain()
                server.writer.write(await wire.read_message(self.reader))

    def keep(self, server: ServerConnection) -> None:
        """Have this server connection from now on, as in session pooling."""
        self._sharing = False
        self._begin(server)

    async def run(self) -> None:
        """Pass on what the client sends until it leaves."""
        framer = wire.Framer()
        while data := await self.reader.read(wire.CHUNK):
            messages = framer.feed(data)
            if messages and messages[-1][:1] == wire.TERMINATE:
                return
            if not messages:
                continue
            if self.latency:
                await asyncio.sleep(self.latency)
            if self._sharing and self.watcher:
                self.watcher.look(messages)
            if not self.server:
                await self._link()
            if self.server:
                self._note(messages)
                self.server.writer.write(b"".join(messages))
                await self.server.writer.drain()

    def leave(self) -> None:
        """Close the server connection of a client that left in the middle."""
        server, self.server = self.server, None
        if server and self._sharing:
            self.pool.lose(server)
        elif server:
            server.close()

    async def hear(self, messages: list[bytes]) -> None:
        """Pass on what the server says; at the end of a transaction give the connection back."""
        status = b""
        for received in messages:
            self._note_status(received)
            status = received[5:6] if received[:1] == wire.READY else status
        finished = status == wire.IDLE and not self._asked and not self._unfinished
        server = self.server
        if self._sharing:
            messages = [received for received in messages if received[:1] != wire.NOTIFICATION]
            if finished:
                self.server = None  # what the client sends next belongs to its next transaction
        self.writer.write(b"".join(messages))
        with contextlib.suppress(OSError):  # a client that has left; `run` notices
            await self.writer.drain()
        if server and finished and self._sharing:
            self.pool.give(server)

    def lose(self) -> None:
        """The server connection broke: so does the client's."""
        self.writer.write(wire.fatal("server conn crashed?"))
        self.writer.close()

    async def _link(self) -> None:
        try:
            server = await self.pool.take()
        except TimeoutError:
            self.writer.write(wire.fatal("query_wait_timeout"))
            return self.writer.close()
        with contextlib.ExitStack() as undo:
            undo.callback(self.pool.lose, server)
            differing = {
                name: value for name, value in self._parameters.items() if server.parameters.get(name) != value
            }
            if differing:
                await server.set(differing)
            undo.pop_all()
        return self._begin(server)

    def _begin(self, server: ServerConnection) -> None:
        self.server = server
        server.owner = self

    def _note(self, messages: list[bytes]) -> None:
        for sent in messages:
            kind = sent[:1]
            if kind in (wire.QUERY, wire.SYNC, wire.FUNCTION_CALL):
                self._asked.append(kind)
                self._unfinished = False
            elif kind not in (wire.COPY_DATA, wire.COPY_DONE, wire.COPY_FAIL):
                self._unfinished = True

    def _note_status(self, received: bytes) -> None:
        kind = received[:1]
        if kind == wire.READY and self._asked:
            self._asked.popleft()
        elif kind == wire.PARAMETER_STATUS:
            name, value = wire.parameter(received)
            if name in TRACKED:
                self._parameters[name] = value
        elif kind in (wire.COPY_IN, wire.COPY_BOTH) and self._asked and self._asked[0] == wire.SYNC:
            self._asked.popleft()  # while copying in, the server passes over the SYNC that asked for it
