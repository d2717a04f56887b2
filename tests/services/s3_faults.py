"""Proxies in front of an S3 server through which anything can go wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from leapcell_emulator.services import s3_oddities
from tests.services.s3 import RcloneServer


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    """Still quoted, with its query."""
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Response:
    """What goes back."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Fault:
    """What befalls the next `times` requests of the methods; each kind of fault is off until set."""

    methods: str = "GET HEAD PUT POST DELETE"
    times: int = 1
    skip: int = 0
    """So many requests that match go through first."""
    path: str = ""
    """Only requests whose path holds this."""
    delay: float = 0
    """Seconds before anything else."""
    refuse: tuple[int, str] | None = None
    """An S3 error instead of an answer: status and code."""
    drop_upload: int | None = None
    """Cut the connection after so many bytes of the request's body."""
    drop_download: int | None = None
    """Cut the connection after so many bytes of the answer's body."""
    stall_download: int | None = None
    """Send nothing after so many bytes of the answer's body, until the proxy is closed."""
    corrupt_upload: bool = False
    """Change a byte of the request's body, and say to the server that it is meant so."""
    corrupt_download: bool = False
    """Change a byte of the answer's body."""
    etag: str | None = None
    """Lie about the ETag."""
    silent: bool = False
    """Take everything, answer nothing, until the proxy is closed."""


def s3_error(status: int, code: str) -> Response:
    """An error as S3 tells it."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>As told.</Message></Error>'
    return Response(status, {"Content-Type": "application/xml"}, text.encode())


class FaultProxy:
    """A proxy in front of a RcloneServer through which anything can go wrong: see Fault."""

    def __init__(self, server: RcloneServer) -> None:
        self.server = server
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        """All that came, the oldest first."""
        self._closing = threading.Event()
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy._handle(self)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815 - as http.server wants them

            def log_message(self, *_: object) -> None:
                pass

        class Listener(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass  # a client that has left

        self._listener = Listener(("127.0.0.1", 0), Handler)

    @property
    def endpoint(self) -> str:
        """The address for S3_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def asked(self, method: str) -> list[str]:
        """The paths that were asked for with a method."""
        return [request.path for request in self.requests if request.method == method]

    def __enter__(self) -> Self:
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        self._listener.shutdown()
        self._listener.server_close()

    def answer(self, request: Request) -> Response:
        """What the client gets when no fault hits."""
        connection = HTTPConnection(self.server.host, self.server.port, timeout=60)
        try:
            connection.request(request.method, request.path, request.body or None, dict(request.headers))
            response = connection.getresponse()
            headers = {name: value for name, value in response.getheaders() if name.lower() not in _OF_ONE_HOP}
            return Response(response.status, headers, response.read())
        finally:
            connection.close()

    def _next_fault(self, method: str, path: str) -> Fault:
        with self._lock:
            for fault in self.faults:
                if fault.times and method in fault.methods.split() and fault.path in path:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return Fault()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        fault = self._next_fault(handler.command, handler.path)
        length = int(handler.headers.get("Content-Length", 0))
        if fault.drop_upload is not None:
            handler.rfile.read(min(length, fault.drop_upload))
            return self._cut(handler)
        request = Request(handler.command, handler.path, dict(handler.headers), handler.rfile.read(length))
        self.requests.append(request)
        if self._closing.wait(fault.delay) or (fault.silent and self._closing.wait()):
            return self._cut(handler)
        response = s3_error(*fault.refuse) if fault.refuse else self.answer(_corrupted(request, fault))
        if fault.etag is not None:
            response.headers = {name: value for name, value in response.headers.items() if name.lower() != "etag"}
            response.headers["ETag"] = fault.etag
        if fault.corrupt_download:
            response.body = _flipped(response.body)
        self._send(handler, response, fault.drop_download, stall=fault.stall_download)
        return None

    def _send(
        self, handler: BaseHTTPRequestHandler, response: Response, cut_after: int | None, *, stall: int | None
    ) -> None:
        handler.send_response(response.status)
        if handler.command == "HEAD":
            length = next((value for name, value in response.headers.items() if name.lower() == "content-length"), "0")
        else:
            length = str(len(response.body))
        for name, value in {**response.headers, "Content-Length": length}.items():
            if not (name.lower() == "content-length" and name != "Content-Length"):
                handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(response.body[: cut_after if stall is None else stall])
            if stall is not None:
                handler.wfile.flush()
                self._closing.wait()
        if cut_after is not None:
            handler.wfile.flush()
            self._cut(handler)

    def _cut(self, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.shutdown(socket.SHUT_RDWR)


class OddServer(FaultProxy):
    """Object Storage with the oddities that are told of LeapCell's; each is off until set."""

    encodes_keys = False
    """Keys in listings come percent-encoded, and nothing in the answer says so."""
    deaf_to_slashes = False
    """A prefix that holds a slash matches nothing."""
    blind_head = False
    """HEAD says 404 for what is there."""
    max_files: int | None = None
    """A hard cap on the files of a bucket."""

    def answer(self, request: Request) -> Response:
        """See FaultProxy."""
        bucket, _, key = urlsplit(request.path).path.lstrip("/").partition("/")
        query = dict(parse_qsl(urlsplit(request.path).query))
        if request.method == "HEAD" and key and self.blind_head:
            return Response(404, {}, b"")
        if request.method == "PUT" and self.max_files is not None and self._count(bucket) >= self.max_files:
            return s3_error(403, "QuotaExceeded")
        response = super().answer(request)
        if request.method == "GET" and not key and response.status == 200:
            if self.deaf_to_slashes and s3_oddities.is_deaf_to(query):
                response.body = s3_oddities.empty(response.body)
            if self.encodes_keys:
                response.body = s3_oddities.encode_keys(response.body)
        return response

    def _count(self, bucket: str) -> int:
        return sum(path.is_file() for path in self.server.bucket(bucket).rglob("*"))


class FullServer(FaultProxy):
    """Object Storage that has room for so many files, and takes those again that it has."""

    def __init__(self, server: RcloneServer, room: int) -> None:
        super().__init__(server)
        self.room = room
        self._held: set[str] = set()

    def answer(self, request: Request) -> Response:
        """See FaultProxy."""
        if request.method == "PUT":
            with self._lock:
                path = urlsplit(request.path).path
                if path not in self._held and len(self._held) >= self.room:
                    return s3_error(507, "InsufficientStorage")
                self._held.add(path)
        return super().answer(request)


_OF_ONE_HOP = frozenset({"connection", "transfer-encoding", "date", "server"})


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body


def _corrupted(request: Request, fault: Fault) -> Request:
    if not fault.corrupt_upload:
        return request
    return replace(request, body=_flipped(request.body))
