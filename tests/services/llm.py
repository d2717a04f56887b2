"""A language-model service: a real HTTP server that speaks OpenAI's chat-completions protocol, well or badly."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.services.front import Service

KEY = "sk-or-v1-0123456789abcdef-not-for-any-log"

ANSWER = ("Hello ", "**world**", ".\n\n", "| a | b |\n|--", "|--|\n| 1 | 2 |\n", "And <script>alert(1)</script>.")

REASONS = {200: "OK", 401: "Unauthorized", 402: "Payment Required", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class LLM(Service):
    """`behaviour` says how the next questions are answered: the name of a method below, or an HTTP status."""

    def __init__(self, behaviour: str | int = "answer", words: Sequence[str] = ANSWER) -> None:
        super().__init__()
        self.behaviour = behaviour
        self.words = words
        self.retry_after = "20"
        self.requests: list[Asked] = []
        self.hung_up = threading.Event()
        """Set when a caller goes away before the end of its answer."""

    @property
    def url(self) -> str:
        """For OPENROUTER_BASE_URL."""
        return f"http://{self.host}:{self.port}/api/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, and close."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append(Asked(head[0].split()[1], headers, body))
        send = _Sender(writer)
        if isinstance(self.behaviour, int):
            message = f"Incorrect API key provided: {KEY}"  # as OpenAI does
            await send.whole(json.dumps({"error": {"message": message}}), self.behaviour, retry_after=self.retry_after)
        elif not body["stream"]:
            await send.whole(json.dumps({"choices": [{"message": {"content": "Hello."}}]}))
        else:
            await getattr(self, self.behaviour)(send, reader)

    async def answer(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """All words, in the protocol's full dress."""
        await send.begin()
        await send.raw(b": OPENROUTER PROCESSING\n\n")
        for word in self.words:
            await send.piece(word)
        await send.piece("", finish_reason="stop")
        await send.data(json.dumps({"choices": [], "usage": {"total_tokens": 42}}))
        await send.data("[DONE]")
        await send.end()

    async def hang(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """One word, then silence for as long as the caller stays."""
        await send.begin()
        await send.piece("Well, ")
        await reader.read()
        self.hung_up.set()

    async def silence(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Not even a status."""
        await reader.read()
        self.hung_up.set()

    async def drop(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Two words, then the connection is cut."""
        await send.begin()
        await send.piece("Half ")
        await send.piece("an ans")
        send.writer.transport.abort()

    async def end_early(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Two words and a clean end of the body, yet no word of the answer's end."""
        await send.begin()
        await send.piece("Half ")
        await send.end()

    async def fail_midway(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """OpenRouter's way to tell of an error once the answer has begun."""
        await send.begin()
        await send.piece("Half ")
        await send.data(json.dumps({"error": {"code": 429, "message": f"limit for {KEY}"}, "choices": []}))
        await send.end()

    async def page(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Somebody's web page."""
        await send.whole("<!doctype html><h1>It works!</h1>", content_type="text/html")

    async def rubbish(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Events that are no answer."""
        await send.begin()
        await send.data(self.words[0])
        await send.end()

    async def flood(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Bytes without an end."""
        await send.begin()
        while True:
            await send.raw(b"x" * 65536)

    async def flood_of_words(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """A little word, again and again, for as long as the caller stays."""
        await send.begin()
        try:
            while True:
                await send.piece("a")
                await asyncio.sleep(0.01)
        except OSError:
            self.hung_up.set()
            raise

    async def not_http(self, send: _Sender, reader: asyncio.StreamReader) -> None:
        """Another protocol."""
        await send.plain(b"SSH-2.0-OpenSSH_10.0\r\n")


class _Sender:
    """Writes HTTP/1.1 with chunks."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def plain(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def whole(
        self, body: str, status: int = 200, *, content_type: str = "application/json", retry_after: str = ""
    ) -> None:
        headers = [f"HTTP/1.1 {status} {REASONS.get(status, 'Some Status')}", f"Content-Type: {content_type}"]
        headers += [f"Content-Length: {len(body.encode())}", "Connection: close"]
        headers += [f"Retry-After: {retry_after}"] if retry_after else []
        await self.plain("\r\n".join([*headers, "", body]).encode())

    async def begin(self) -> None:
        headers = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"]
        await self.plain("\r\n".join([*headers, "Connection: close", "", ""]).encode())

    async def raw(self, data: bytes) -> None:
        await self.plain(b"%x\r\n%s\r\n" % (len(data), data))

    async def data(self, text: str) -> None:
        await self.raw(f"data: {text}\n\n".encode())

    async def piece(self, text: str, *, finish_reason: str | None = None) -> None:
        choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        await self.data(json.dumps({"object": "chat.completion.chunk", "choices": [choice]}))

    async def end(self) -> None:
        await self.plain(b"0\r\n\r\n")
