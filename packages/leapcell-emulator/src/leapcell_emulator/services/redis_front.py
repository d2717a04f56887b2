"""The address of Redis: TLS from the first byte, and nothing but the commands of LeapCell's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Final

from leapcell_emulator.loopback import listen
from leapcell_emulator.services.notices import Notices
from leapcell_emulator.services.redis_commands import COMMANDS
from leapcell_emulator.services.redis_server import MAX_VALUE
from leapcell_emulator.services.redis_wire import Requests

CHUNK: Final = 64 * 1024  # bytes read at a time
HANDSHAKE_TIMEOUT: Final = 10.0  # seconds
_MOST_TOLD: Final = 100  # names: invented ones are not reported without end
_RULE: Final = "redis_commands"
# OpenSSL's names, of several versions, for a first message that is none of TLS. Others are of who does not trust us.
_NOT_TLS: Final = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "UNEXPECTED_MESSAGE",
    "RECORD_LAYER_FAILURE",
)


class Front:
    """A TCP port on this machine, before a server on a unix socket.

    Parameters
    ----------
    server: its socket.
    context: with the certificate.
    all_commands: whether all are passed on.
    """

    def __init__(self, server: Path, context: ssl.SSLContext, notices: Notices, *, all_commands: bool) -> None:
        self.port = 0
        self.refused = 0
        """Commands that were not passed on."""
        self._server = server
        self._context = context
        self._notices = notices
        self._all_commands = all_commands
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """Clients connected now."""
        return len(self._clients)

    def start(self) -> None:
        """Listen, on a port of the kernel's choice."""
        self._listener = listen(0, what="Redis", option="--redis")
        self.port = self._listener.getsockname()[1]
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def stop(self) -> None:
        """Stop listening, and drop the clients."""
        tasks = [*([self._accepting] if self._accepting else []), *self._clients]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError:  # no descriptors left: some client will leave
                await asyncio.sleep(0.1)
                continue
            task = asyncio.create_task(self._serve(client))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    async def _serve(self, client: socket.socket) -> None:
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_TIMEOUT
            )
        except ssl.SSLError as error:
            if error.reason in _NOT_TLS:
                self._notices.once(_RULE, "A connection without TLS was refused: the URL starts with rediss://.")
            return
        except OSError:  # it has left again
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            await self._relay(reader, writer)
            await writer.wait_closed()
        except OSError:
            pass  # the client has left, or the server
        finally:
            transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(str(self._server), limit=CHUNK)
        back = asyncio.create_task(_pass_back(from_server, writer))
        requests = Requests(self._is_refused, longest=MAX_VALUE)
        try:
            while not requests.broken and (data := await reader.read(CHUNK)):
                to_server.write(requests.feed(data))
                await to_server.drain()
            to_server.write_eof()
            await back  # what is still on its way
        finally:
            back.cancel()
            to_server.close()

    def _is_refused(self, name: str) -> bool:
        if self._all_commands or name in COMMANDS:
            return False
        self.refused += 1
        if len(self._notices.told) < _MOST_TOLD:
            self._notices.once(_RULE, f"{name.upper()} was refused: LeapCell does not list it for its Redis.")
        return True


async def _pass_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All that the server says; when it ends, so does the client's connection."""
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
