"""One connection from the gateway to an instance: a request at a time, and its answer as it comes.

A client library does more than a proxy needs: aiohttp's took three quarters of a bare proxy's processor time (0.16 of
0.21 ms a request). The parser of HTTP is httptools', as in uvicorn.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, cast

import httptools

from leapcell_emulator.documented import MIB

LARGEST_HEAD: Final = 16 * MIB  # bytes of an answer's head; the rules' own limits are lower and say more
_READ_AHEAD: Final = 256 * 1024  # bytes of a body that wait to be read before the instance has to wait

RawHeaders = list[tuple[bytes, bytes]]


class Interrupted(Exception):
    """The instance ended, or closed the connection, before its answer was complete."""


class Connection(asyncio.Protocol):
    """A connection with the answer to its present request: the head, then `read` until `complete`."""

    def __init__(self, keep: Callable[[Connection], None]) -> None:
        """`keep` takes it for the next request."""
        self._keep_it = keep
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser: httptools.HttpResponseParser | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._sending: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self.lost = False
        self.used = False
        """Whether it carried a request before this one."""
        self.idle_since = 0.0
        self._reset("GET")

    def _reset(self, method: str) -> None:
        self.status = 0
        self.reason = b""
        self.headers: RawHeaders = []
        self.complete = False
        self._method = method
        self._has_head = False
        self._head_bytes = 0
        self._interim = False
        self._keep = False
        self._chunks: list[bytes] = []
        self.buffered = 0
        """Bytes of the body that were not read yet."""
        self._paused = False

    # The gateway's side

    async def ask(self, method: str, head: bytes, body: AsyncIterator[bytes] | None, *, chunked: bool) -> None:
        """Send a request and wait for the head of its answer. Raises `Interrupted`, and what `body` does."""
        self._reset(method)
        self._parser = httptools.HttpResponseParser(self)  # one for each answer: that to HEAD leaves it in the middle
        self._transport.write(head)
        if body is not None:
            self._sending = self._loop.create_task(self._send(body, chunked=chunked))
        while not self._has_head:
            await self._wait()

    async def read(self) -> bytes:
        """Return the next part of the body; empty at its end. Raises as `ask` does."""
        while not self._chunks and not self.complete:
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self.buffered = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def release(self) -> None:
        """Keep the connection for the next request if the answer was read, or close it."""
        sent = self._sending is None or self._sending.done()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        if self.complete and self._keep and sent and not self.lost and self._error is None:
            self._keep_it(self)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection now."""
        self.lost = True
        self._transport.abort()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        if self.lost:
            raise Interrupted("it has closed the connection")
        self._waiting = self._loop.create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    async def _send(self, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        try:
            async for chunk in body:
                if self.lost:
                    return
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked and chunk else chunk)
                if self._writable is not None:
                    await self._writable
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)  # as that of a stream always is, uvloop's too

    def data_received(self, data: bytes) -> None:
        """Parse a part of the answer."""
        if self.complete or self._parser is None:
            self.close()  # it is no answer to anything
            return
        if not self._has_head:
            self._head_bytes += len(data)
        if self._head_bytes > LARGEST_HEAD:
            self._refuse(f"its answer has a head of more than {LARGEST_HEAD // MIB} MiB")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish(keep=False)
        except httptools.HttpParserError as error:
            self._refuse(f"its answer is not HTTP ({error})")
            return
        if self.buffered > _READ_AHEAD and not self._paused and not self.complete:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _refuse(self, why: str) -> None:
        if not self.complete:
            self._fail(Interrupted(why))
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer, where its length is that of the connection."""
        self.lost = True
        if self._has_head and not self.complete and exc is None and self._ends_with_the_connection():
            self._finish(keep=False)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._wake()

    def pause_writing(self) -> None:
        """Let the request's body wait."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """Let it go on."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _ends_with_the_connection(self) -> bool:
        return not any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.headers)

    def _finish(self, *, keep: bool) -> None:
        if not self.complete:
            self.complete, self._has_head, self._keep = True, True, keep

    # The parser's side

    def on_status(self, reason: bytes) -> None:
        """Take a part of the reason."""
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those after a chunked body are left out."""
        if not self._has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """End the head; an interim one (1xx) is not passed on."""
        assert self._parser is not None  # noqa: S101 - it calls this
        if self._has_head:  # a second answer, to no request
            self._keep = False
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim, self.headers, self.reason = True, [], b""
            return
        self.status = status
        self._has_head = True
        if self._method == "HEAD" or status in (204, 304):  # which the parser does not know of
            self._finish(keep=self._parser.should_keep_alive())

    def on_body(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self.complete:
            self._chunks.append(data)
            self.buffered += len(data)

    def on_message_complete(self) -> None:
        """End the answer."""
        if self._interim:
            self._interim = False
        else:
            self._finish(keep=self._parser is not None and self._parser.should_keep_alive())
