"""The gateway's connections to an instance, against a server that answers byte for byte what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from leapcell_emulator import upstream_connection
from leapcell_emulator.upstream import InstanceGone, Upstream
from leapcell_emulator.upstream_connection import Connection, Interrupted

HEAD = b"HTTP/1.1 200 OK\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Scripted:
    """Answers each request with the next text; None closes the connection."""

    def __init__(self, *answers: bytes | None, close: bool = False) -> None:
        self.answers = list(answers)
        self.close = close
        self.connections = 0
        self.bodies: list[bytes] = []
        self.ended = asyncio.Semaphore(0)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"chunked" in head:
                    self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
                if self.close:
                    break
        self.ended.release()


@contextlib.asynccontextmanager
async def served(*answers: bytes | None, close: bool = False) -> AsyncIterator[tuple[Upstream, Scripted]]:
    script = Scripted(*answers, close=close)
    server = await asyncio.start_server(script.handle, "127.0.0.1", 0)
    upstream = Upstream("127.0.0.1", server.sockets[0].getsockname()[1])
    async with server:
        yield upstream, script
        upstream.close()
        for _ in range(script.connections):
            await script.ended.acquire()


async def whole(connection: Connection) -> bytes:
    body = b""
    while part := await connection.read():
        body += part
    connection.release()
    return body


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HEAD + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Trailer: 1\r\n\r\n", b"hello"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", b""),
    ],
    ids=["length", "chunked", "early hints", "204", "304"],
)
async def test_answers_of_each_shape_over_one_connection(answer: bytes, body: bytes) -> None:
    async with served(answer, answer) as (upstream, script):
        for _ in range(2):
            connection = await upstream.ask("GET", GET)
            assert connection.status in (200, 204, 304)
            assert [name for name, _ in connection.headers if name in (b"Link", b"X-Trailer")] == []
            assert await whole(connection) == body
        assert script.connections == 1


async def test_an_answer_to_head_has_no_body() -> None:
    answer = HEAD + b"Content-Length: 5\r\n\r\n"
    async with served(answer, answer) as (upstream, script):
        for _ in range(2):
            assert await whole(await upstream.ask("HEAD", GET)) == b""
        assert script.connections == 1


async def test_an_answer_that_ends_with_its_connection() -> None:
    async with served(HEAD + b"\r\nuntil the end", close=True) as (upstream, _):
        assert await whole(await upstream.ask("GET", GET)) == b"until the end"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "closed the connection"),
        (HEAD + b"Content-Length: 5\r\n\r\nhe", "closed the connection"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "is not HTTP"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "is not HTTP"),
    ],
    ids=["nothing", "cut off", "cut off in chunks", "another protocol", "two lengths"],
)
async def test_an_interrupted_answer(answer: bytes | None, why: str) -> None:
    async with served(answer, close=True) as (upstream, _):
        with pytest.raises(Interrupted, match=why):
            await whole(await upstream.ask("GET", GET))


@pytest.mark.parametrize("first", [HEAD + b"Content-Length: 2\r\n\r\nok", b"HTTP/1.1 204 No Content\r\n\r\n"])
async def test_an_answer_that_nobody_asked_for_ends_the_connection(first: bytes) -> None:
    second = b"HTTP/1.1 500 Not Asked For\r\nX-Second: 1\r\nContent-Length: 3\r\n\r\nbad"
    async with served(first + second, first) as (upstream, script):
        connection = await upstream.ask("GET", GET)
        assert (connection.status, b"X-Second" in dict(connection.headers)) == (204 if b"204" in first else 200, False)
        assert await whole(connection) in (b"ok", b"")
        again = await upstream.ask("GET", GET)
        assert again.status != 500
        await whole(again)
        assert script.connections == 2


async def test_a_head_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_connection, "LARGEST_HEAD", 100_000)
    async with served(HEAD + b"X: " + b"x" * 300_000) as (upstream, _):
        with pytest.raises(Interrupted, match="a head of more than"):
            await upstream.ask("GET", GET)


async def test_an_idle_connection_that_was_closed_is_replaced_where_the_request_can_be_repeated() -> None:
    ok = HEAD + b"Content-Length: 2\r\n\r\nok"
    async with served(ok, None, ok, ok, None) as (upstream, script):
        await whole(await upstream.ask("GET", GET))
        assert await whole(await upstream.ask("GET", GET)) == b"ok"  # met the closed one, and was sent again
        assert script.connections == 2
        await whole(await upstream.ask("GET", GET))
        with pytest.raises(Interrupted):
            await upstream.ask("POST", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")


async def test_nothing_listens() -> None:
    async with served() as (upstream, _):
        pass
    with pytest.raises(InstanceGone):
        await upstream.ask("GET", GET)


async def sent(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part


POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_a_body_in_chunks() -> None:
    async with served(HEAD + b"Content-Length: 2\r\n\r\nok") as (upstream, script):
        await whole(await upstream.ask("POST", POST, sent(b"hello", b"", b"world"), chunked=True))
        assert script.bodies == [b"5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"]


async def test_a_body_that_fails_is_raised_where_the_answer_is_waited_for() -> None:
    async with served() as (upstream, _):
        with pytest.raises(ValueError, match="too large"):
            await upstream.ask("POST", POST, sent(b"hello", ValueError("too large")), chunked=True)


async def test_an_answer_before_the_end_of_the_body_ends_the_connection() -> None:
    hold = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        await hold.wait()

    request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    ok = HEAD + b"Content-Length: 2\r\n\r\nok"
    async with served(ok, ok) as (upstream, script):
        assert await whole(await upstream.ask("POST", request, body())) == b"ok"
        await whole(await upstream.ask("GET", GET))
        assert script.connections == 2


async def test_what_nobody_reads_waits_in_the_instance() -> None:
    size = 20_000_000
    sending = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            sending.set()
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        upstream = Upstream("127.0.0.1", server.sockets[0].getsockname()[1])
        connection = await upstream.ask("GET", GET)
        await sending.wait()
        for _ in range(200):
            await asyncio.sleep(0)
        assert connection.buffered < 1_000_000
        assert len(await whole(connection)) == size
        upstream.close()


async def test_idle_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leapcell_emulator.upstream.IDLE_CONNECTION", 0.0)
    async with served(HEAD + b"Content-Length: 2\r\n\r\nok") as (upstream, _):
        connection = await upstream.ask("GET", GET)
        await whole(connection)
        await _until(lambda: connection.lost)


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
