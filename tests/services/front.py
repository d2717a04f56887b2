"""TCP in front of a PostgreSQL that listens on a unix socket: with TLS, through a network that is far, or dead."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import trustme

from leapcell_emulator.loopback import free_port
from leapcell_emulator.services.certificates import Certificates as ServiceCertificates

SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
# What PostgreSQL says to a client that its pg_hba.conf wants encrypted.
_REFUSAL = b"SFATAL\0VFATAL\0C28000\0Mno pg_hba.conf entry for this host, no encryption\0\0"
NO_ENCRYPTION = b"E" + (len(_REFUSAL) + 4).to_bytes(4, "big") + _REFUSAL


class Service:
    """A TCP server in a thread of its own, with its own event loop, on a port that nobody else is given."""

    def __init__(self) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Its connections end and new ones are refused; then it is there again, at the same port."""
        self._run(self._stop())
        yield
        self._run(self._start())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)

    async def _stop(self) -> None:
        assert self._server, "not started"
        for listener in self._server.sockets:
            self._loop.remove_reader(listener.fileno())
        await asyncio.sleep(0.01)  # what was accepted a moment ago, and no closed server takes, is with us then
        self._server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0.01)  # for the event loop to close the sockets

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._server
        if not self._server.is_serving():  # it came while we stopped
            writer.transport.abort()
            return
        self._writers.add(writer)
        task = asyncio.ensure_future(self._handle(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self.serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def also_closes(self, writer: asyncio.StreamWriter) -> None:
        """Close this connection, too, when the service stops."""
        self._writers.add(writer)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        raise NotImplementedError


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Certificates(ServiceCertificates):
    """A certificate authority made for this run, a certificate of its for `localhost`, and another authority."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, names=("localhost",))
        self.stranger = folder / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(str(self.stranger))


class Front(Service):
    """A TCP port for a PostgreSQL on a unix socket, the only one that the wheel's PostgreSQL has.

    certificates: speak TLS as PostgreSQL does; without, refuse it as PostgreSQL does.
    require_tls: turn away whoever does not ask for it.
    """

    def __init__(
        self, socket_path: str, certificates: Certificates | None = None, *, require_tls: bool = False
    ) -> None:
        super().__init__()
        self.socket_path = socket_path
        self.context = certificates.server_context() if certificates else None
        self.require_tls = require_tls
        self.encrypted = 0
        """Connections that asked for TLS and got it."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the question for TLS, then pass everything on."""
        first = await reader.readexactly(len(SSL_REQUEST))
        if first == SSL_REQUEST and self.context:
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(self.context)
            self.encrypted += 1
            first = b""
        elif first == SSL_REQUEST:
            writer.write(b"N")
            first = b""
        elif self.require_tls:
            writer.write(NO_ENCRYPTION)
            await writer.drain()
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self.socket_path)
        self.also_closes(server_writer)
        try:
            server_writer.write(first)
            await asyncio.gather(_pipe(reader, server_writer), _pipe(server_reader, writer))
        finally:
            server_writer.close()


class Network(Service):
    """A network between a client and a TCP server: it adds a delay, counts round trips, and can forget connections.

    A round trip is counted when the client speaks after it was silent or was spoken to: it then waits for an answer.
    Connecting is one as well. The count is exact whatever the machine does, unlike a time.

    delay: seconds a round trip takes beyond the real ones.
    """

    def __init__(self, host: str, port: int, *, delay: float = 0.0) -> None:
        super().__init__()
        self.target = (host, port)
        self.delay = delay
        self.round_trips = 0
        self.connections = 0
        self._forgotten = 0  # connections up to this number are dead

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass everything on, late and counted."""
        self.connections += 1
        number = self.connections
        self.round_trips += 1
        await asyncio.sleep(self.delay)
        server_reader, server_writer = await asyncio.open_connection(*self.target)
        self.also_closes(server_writer)
        client_may_speak = True

        async def to_server() -> None:
            nonlocal client_may_speak
            while data := await reader.read(65536):
                if client_may_speak:
                    self.round_trips += 1
                    client_may_speak = False
                if number <= self._forgotten:
                    continue
                await asyncio.sleep(self.delay / 2)
                server_writer.write(data)
            server_writer.close()

        async def to_client() -> None:
            nonlocal client_may_speak
            while data := await server_reader.read(65536):
                if number <= self._forgotten:
                    continue
                await asyncio.sleep(self.delay / 2)
                client_may_speak = True
                writer.write(data)
            writer.close()

        try:
            await asyncio.gather(to_server(), to_client())
        finally:
            server_writer.close()

    def forget(self) -> None:
        """From now on swallow what the present connections carry, and close none, as a NAT gateway does after a freeze.

        New connections work.
        """
        self._forgotten = self.connections


class BlackHole(Service):
    """Takes connections and never says a word."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read, and do nothing."""
        while await reader.read(65536):
            pass
