"""Requests with their answers, as the page shows them one by one: headers, bodies, log lines, rules, and times."""

from __future__ import annotations

import base64
import shlex
from collections import deque
from dataclasses import dataclass, field
from time import perf_counter
from time import time as clock
from typing import Any, Final

from leapcell_emulator.errors import NotFound
from leapcell_emulator.events import Collected, ServedRequest, as_iso
from leapcell_emulator.forwarding import decoded
from leapcell_emulator.metering import Window
from leapcell_emulator.upstream_connection import RawHeaders

KEPT: Final = 100
"""Exchanges that are kept."""
KEPT_BODY: Final = 64 * 1024
"""Bytes that are kept of each body."""

Headers = list[tuple[str, str]]


class UnknownRequest(NotFound):
    """There is no such request, or it is too long ago."""


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    raw_headers: RawHeaders | tuple[tuple[bytes, bytes], ...] = ()
    number: int = 0
    at: float = field(default_factory=clock)
    """Unix time of its beginning."""
    begun: float = field(default_factory=perf_counter)
    status: int = 0
    instance: str = ""
    rule: str = ""
    read: bool = True
    """Whether its body was read to the end: not when it was refused before."""
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0
    body: bytearray = field(default_factory=bytearray)
    raw_answer_headers: RawHeaders = field(default_factory=list)
    answer_body: bytearray = field(default_factory=bytearray)
    collected: Collected = field(default_factory=Collected)
    cold: float = 0.0
    """Seconds that it waited for an instance to start."""
    queue: float = 0.0
    """Seconds until it had an instance that ran, but for that start."""
    application: float = 0.0
    """Seconds from then to the head of the answer."""
    window: Window = field(default_factory=Window)
    """The time before it that the instance had no request, and the processor time."""
    memory: int | None = None
    """Bytes of the instance after it; known with a record only."""

    @property
    def headers(self) -> Headers:
        """Return the request's headers as text."""
        return decoded(self.raw_headers)

    @property
    def answer_headers(self) -> Headers:
        """Return the answer's headers as text."""
        return decoded(self.raw_answer_headers)

    def take_body(self, chunk: bytes) -> None:
        """Count and keep a part of the request's body."""
        self.bytes_in += len(chunk)
        self.body += chunk[: KEPT_BODY - len(self.body)]

    def take_answer(self, chunk: bytes) -> None:
        """Count and keep a part of the answer's body."""
        self.bytes_out += len(chunk)
        self.answer_body += chunk[: KEPT_BODY - len(self.answer_body)]

    def row(self) -> ServedRequest:
        """Return its line in the list of requests."""
        return ServedRequest(
            method=self.method,
            path=self.path[:500],
            status=self.status,
            seconds=self.seconds,
            instance=self.instance,
            rule=self.rule,
            rules=self.collected.rules,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
            number=self.number,
        )

    def details(self, url: str) -> dict[str, Any]:
        """Return all of it for the page, times in seconds. `url`: the public address."""
        return {
            "number": self.number,
            "time": as_iso(self.at),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "instance": self.instance,
            "rules": self.collected.rules,
            "log": self.collected.lines,
            "request": {"headers": self.headers, **_body(self.body, self.bytes_in)},
            "answer": {"headers": self.answer_headers, **_body(self.answer_body, self.bytes_out)},
            "times": self._times(),
            "curl": self.curl(url),
        }

    def _times(self) -> dict[str, float]:
        times = {
            "total": self.seconds,
            "queue": self.queue,
            "cold": self.cold,
            "application": self.application,
            "frozen": self.window.frozen,
        }
        if self.window.processor is not None:
            times["processor"] = self.window.processor
        return {name: round(seconds, 4) for name, seconds in times.items()}

    def measured(self, path: str) -> dict[str, Any]:
        """Return its line in the record, where `queue` includes a start. `path`: without the query."""
        end = clock()
        return {
            "start": end - self.seconds,
            "end": end,
            "queue": self.queue + self.cold,
            "cold": self.cold > 0,
            "frozen": self.window.frozen,
            "processor": self.window.processor,
            "memory": self.memory,
            "method": self.method,
            "path": path[:500],
            "status": self.status,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "instance": self.instance,
            "rule": self.rule,
        }

    def curl(self, url: str) -> str:
        """Return a command that sends the same request."""
        words = ["curl", "-i", "-X", self.method, url + self.path]
        for name, value in self.headers:
            if name.lower() not in ("host", "content-length", "connection", "accept-encoding", "expect"):
                words += ["-H", f"{name}: {value}"]
        if self.body:
            words += ["--data-binary", self.body.decode(errors="replace")]
        return shlex.join(words)


class Traffic:
    """The last exchanges."""

    def __init__(self) -> None:
        self._kept: deque[Exchange] = deque(maxlen=KEPT)
        self._count = 0

    def add(self, exchange: Exchange) -> None:
        """Keep one and give it its number."""
        self._count += 1
        exchange.number = self._count
        self._kept.append(exchange)

    def get(self, number: str) -> Exchange:
        """Return the exchange with this number. Raises `UnknownRequest`."""
        for each in self._kept:
            if str(each.number) == number:
                return each
        raise UnknownRequest(f"There is no request {number}.", hint=f"The last {KEPT} are kept.")

    def har(self, url: str) -> dict[str, Any]:
        """Return them as an HTTP Archive: http://www.softwareishard.com/blog/har-12-spec/."""
        creator = {"name": "leapcell-emulator", "version": "1"}
        return {"log": {"version": "1.2", "creator": creator, "entries": [_entry(each, url) for each in self._kept]}}


def _body(kept: bytearray, size: int) -> dict[str, Any]:
    try:
        return {"body": kept.decode(), "encoding": "", "size": size, "complete": len(kept) == size}
    except UnicodeDecodeError:
        text = base64.b64encode(kept).decode()
        return {"body": text, "encoding": "base64", "size": size, "complete": len(kept) == size}


def _entry(each: Exchange, url: str) -> dict[str, Any]:
    def named(headers: Headers) -> list[dict[str, str]]:
        return [{"name": name, "value": value} for name, value in headers]

    def value(headers: Headers, wanted: str) -> str:
        return next((value for name, value in headers if name.lower() == wanted), "")

    sent, answered = _body(each.body, each.bytes_in), _body(each.answer_body, each.bytes_out)
    blocked, wait = (each.queue + each.cold) * 1000, each.application * 1000
    receive = max(0.0, each.seconds * 1000 - blocked - wait)
    request: dict[str, Any] = {
        "method": each.method,
        "url": url + each.path,
        "httpVersion": "HTTP/1.1",
        "cookies": [],
        "headers": named(each.headers),
        "queryString": [],
        "headersSize": -1,
        "bodySize": each.bytes_in,
    }
    if each.body:
        request["postData"] = {"mimeType": value(each.headers, "content-type"), "text": sent["body"]}
    content = {"size": each.bytes_out, "mimeType": value(each.answer_headers, "content-type"), "text": answered["body"]}
    if answered["encoding"]:
        content["encoding"] = answered["encoding"]
    return {
        "startedDateTime": as_iso(each.at),
        "time": each.seconds * 1000,
        "request": request,
        "response": {
            "status": each.status,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": named(each.answer_headers),
            "content": content,
            "redirectURL": value(each.answer_headers, "location"),
            "headersSize": -1,
            "bodySize": each.bytes_out,
        },
        "cache": {},
        "timings": {"blocked": blocked, "send": 0, "wait": wait, "receive": receive},
        "comment": " ".join(each.collected.rules),
    }
