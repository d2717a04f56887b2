"""The address of the database: TLS as a managed PostgreSQL wants it, a cap on connections, and a pooler behind it."""

from __future__ import annotations

import asyncio
import ssl
import time

from leapcell_emulator.services import postgres_wire as wire
from leapcell_emulator.services.notices import Notices
from leapcell_emulator.services.postgres_pooler import Pooler

GREETING_TIMEOUT = 60.0  # seconds to say what one wants, and to sign in; pgbouncer's client_login_timeout


class Front:
    """A TCP port on this machine that insists on TLS.

    Parameters
    ----------
    pooler: serves the clients.
    context: with the certificate.
    max_connections: clients at a time.
    notices: called for the first refused one.
    tls: whether TLS is insisted on.
    """

    def __init__(
        self, pooler: Pooler, context: ssl.SSLContext, *, max_connections: int, notices: Notices, tls: bool = True
    ) -> None:
        self.pooler = pooler
        self.context = context
        self.max_connections = max_connections
        self.tls = tls
        self.notices = notices
        self.host = "127.0.0.1"
        self.port = 0
        self.refused = 0
        """Clients turned away since there were too many."""
        self._server: asyncio.Server | None = None
        self._failing_until = 0.0
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    async def start(self, port: int = 0) -> None:
        """Listen, on a port of the kernel's choice if it is 0."""
        self._server = await asyncio.start_server(self._accept, self.host, port, limit=wire.CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, and drop the clients."""
        if self._server:
            self._server.close()
        clients = dict(self._clients)
        for task, writer in clients.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    @property
    def failing(self) -> bool:
        """Whether each client is dropped at the moment."""
        return time.monotonic() < self._failing_until

    def fail(self, seconds: float) -> None:
        """Drop all clients, and each new one for so long."""
        self._failing_until = time.monotonic() + seconds
        self.drop()

    def drop(self) -> int:
        """Drop the clients, as a network that fails does, and return how many there were."""
        for writer in self._clients.values():
            writer.transport.abort()
        return len(self._clients)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task  # noqa: S101 - asyncio.start_server makes one for each connection
        self._clients[task] = writer
        try:
            if not self.failing:
                await self._greet(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass  # the client has left, was never one of PostgreSQL's, or we stop
        finally:
            del self._clients[task]
            writer.close()

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        encrypted = False
        async with asyncio.timeout(GREETING_TIMEOUT):
            packet = await wire.read_startup(reader)
            while (code := wire.startup_code(packet)) in (wire.SSL_REQUEST, wire.GSS_REQUEST):
                if code == wire.GSS_REQUEST or encrypted:
                    writer.write(b"N")
                else:
                    writer.write(b"S")
                    await writer.drain()
                    await writer.start_tls(self.context)
                    encrypted = True
                packet = await wire.read_startup(reader)
        if code == wire.CANCEL_REQUEST:
            await self.pooler.cancel(packet)
        elif self.tls and not encrypted:
            self.notices.once("db_tls", "A database connection without TLS was refused")
            await _refuse(writer, "SSL required")
        elif self.connections > self.max_connections:
            self.refused += 1
            self.notices.once(
                "db_max_connections", f"More than {self.max_connections} database connections: one was refused"
            )
            await _refuse(writer, "no more connections allowed (max_client_conn)")
        else:
            await self.pooler.serve(packet, reader, writer)


async def _refuse(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(wire.fatal(text))
    await writer.drain()
