"""The way in: takes requests as LeapCell's edge does, applies its limits while they stream, and passes them on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from leapcell_emulator.confined import StartFailed
from leapcell_emulator.documented import MIB
from leapcell_emulator.events import Journal
from leapcell_emulator.fleet import Fleet, TooManyRequests
from leapcell_emulator.instance import LARGEST_HEAD, Instance
from leapcell_emulator.limits import Refused, check_answer, check_head, is_ambiguous
from leapcell_emulator.rule import format_size
from leapcell_emulator.rules import Rules
from leapcell_emulator.short_log import ShortLog
from leapcell_emulator.target import Target, read_target
from leapcell_emulator.traffic import Exchange, Traffic
from leapcell_emulator.websocket import relay

# Between two neighbours only: RFC 9110, 7.6.1.
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
PAGE: Final = "/__emulator"
CLIENT_GONE: Final = 499  # as nginx logs it: there is no client to answer

PageHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Gateway:
    """Answers every request with an instance's answer, or with what the rule says that stands in the way."""

    def __init__(
        self, fleet: Fleet, rules: Rules, journal: Journal, page: PageHandler | None = None, *, latency: float = 0.0
    ) -> None:
        """`page` answers below `/__emulator`; `latency` is what a request takes to the region and back, in seconds."""
        self._latency = latency
        self._fleet, self._rules, self._journal = fleet, rules, journal
        self._page = page
        self._last_instance = ""
        self._remarked = False
        self.traffic = Traffic()

    def server(self) -> web.Server:
        """An HTTP server of it, for `web.ServerRunner`."""
        return web.Server(
            self.handle,
            handler_cancellation=True,  # a client that goes away ends its request
            access_log=None,
            logger=ShortLog(logging.getLogger(__name__)),
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
            max_headers=10_000,
            keepalive_timeout=75,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if self._page is not None and (request.path == PAGE or request.path.startswith(PAGE + "/")):
            return await self._page(request)
        count = Exchange(method=request.method, path=request.path_qs, headers=list(request.headers.items()))
        count.read = not request.body_exists
        try:
            if self._latency:
                await asyncio.sleep(self._latency)
            return await self._answer(request, count)
        finally:
            count.seconds = round(time.perf_counter() - count.begun, 4)
            self.traffic.add(count)
            self._journal.served(count.row(), count.measured(request.path))

    def _remark_on_turns(self, request: web.BaseRequest, instance: Instance) -> None:
        """Report once that a client's next request went to another instance (E3), and what was added (E13)."""
        if self._remarked:
            return
        about = {"instance": instance.name, "path": f"{request.method} {request.path}", "level": "info"}
        self._journal.fire_once("forwarded_proto", **about)
        if self._last_instance not in ("", instance.name):
            found = f"{instance.name}, the one before to {self._last_instance}: they share no memory and no /tmp"
            self._journal.fire_once("instances", found=found, **about)
            self._remarked = True
        self._last_instance = instance.name

    async def _answer(self, request: web.BaseRequest, count: Exchange) -> web.StreamResponse:
        with contextlib.ExitStack() as stack:
            return await self._answer_by_an_instance(request, count, stack)

    async def _answer_by_an_instance(
        self, request: web.BaseRequest, count: Exchange, stack: contextlib.ExitStack
    ) -> web.StreamResponse:
        try:
            check_head(self._rules, request.method, request.raw_path, list(request.raw_headers))
            target = read_target(request.method, request.raw_path)
            if isinstance(target, int):
                return _text(count, target, "")
            async with self._fleet.instance(count) as instance:
                count.instance = instance.name
                instance.last_request = f"{request.method} {request.path}"
                stack.enter_context(self._journal.request(instance.name, count.collected))
                self._remark_on_turns(request, instance)
                return await self._forward(request, target, instance, count)
        except Refused as refused:
            return self._refuse(request, count, refused)
        except TooManyRequests as error:
            return self._refuse(request, count, Refused(error.status, "max_concurrency"))
        except StartFailed as error:
            self._journal.say(str(error), level="error", instance=count.instance)
            return _text(count, 503, f"{error.message.partition(chr(10))[0]}\n")

    async def _forward(
        self, request: web.BaseRequest, target: Target, instance: Instance, count: Exchange
    ) -> web.StreamResponse:
        """Pass the request on and its answer back, within the time a request may take (E5)."""
        response: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(self._rules.request_timeout or None) as limit:
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request.headers.get("Upgrade", "").lower() == "websocket":  # allowed: `check_head` has let it pass
                    count.status = 101
                    return await relay(request, instance, self._headers(request, target))
                sent = time.perf_counter()
                upstream = await instance.session.request(
                    request.method,
                    URL(instance.url(target.path), encoded=True),
                    headers=self._headers(request, target),
                    data=self._body(request, count) if request.body_exists else None,
                    allow_redirects=False,
                    skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
                )
                with contextlib.closing(upstream):
                    count.application = time.perf_counter() - sent
                    count.answer_headers = list(upstream.headers.items())
                    check_answer(self._rules, request.method, list(upstream.raw_headers))
                    response = _head(upstream)
                    count.status = upstream.status
                    await response.prepare(request)
                    complete = await self._copy(upstream, response, request, count)
                    self._remark_on_sizes(request, count)
                    if complete:
                        await response.write_eof()
                        upstream.release()
        except TimeoutError:
            if not limit.expired():
                raise
            refused = Refused(504, "request_timeout")
        except Refused as error:
            refused = error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, Refused):
                refused = error.__cause__
            elif request.transport is None or request.transport.is_closing():
                return _text(count, CLIENT_GONE, "")
            else:
                return self._broken(request, instance, count, response, error)
        else:
            return response
        if response is None:
            return self._refuse(request, count, refused)
        self._fire(request, count, refused)
        _cut_off(request)
        return response

    def _remark_on_sizes(self, request: web.BaseRequest, count: Exchange) -> None:
        """Report once for each path a size that passes here and might not there: they say MB."""
        for what, limit, size in (
            ("response", self._rules.max_response_body, count.bytes_out),
            ("request", self._rules.max_request_body, count.bytes_in),
        ):
            if is_ambiguous(limit, size):
                self._journal.say_once(
                    f"The {what} of {request.method} {request.path} has more than {limit // MIB} MB, which is what the "
                    f"documents allow, and less than {format_size(limit)}, which is what passes here.",
                    instance=count.instance,
                )

    async def _body(self, request: web.BaseRequest, count: Exchange) -> AsyncIterator[bytes]:
        """The request's body as it comes, up to the limit (E6)."""
        limit = self._rules.max_request_body
        async for chunk in request.content.iter_any():
            count.take_body(chunk)
            if limit and count.bytes_in > limit:
                raise Refused(413, "max_request_body")
            yield chunk
        count.read = True

    async def _copy(
        self, upstream: aiohttp.ClientResponse, response: web.StreamResponse, request: web.BaseRequest, count: Exchange
    ) -> bool:
        """The answer's body as it comes; at the limit the rest is cut off (E7). False: it was."""
        limit = self._rules.max_response_body
        async for chunk in upstream.content.iter_any():
            if limit and count.bytes_out + len(chunk) > limit:
                await response.write(chunk[: limit - count.bytes_out])
                count.take_answer(chunk[: limit - count.bytes_out])
                self._fire(request, count, Refused(0, "max_response_body"))
                _cut_off(request)
                return False
            count.take_answer(chunk)
            await response.write(chunk)
        return True

    def _headers(self, request: web.BaseRequest, target: Target) -> CIMultiDict[str]:
        """The request's headers and those that LeapCell's proxy adds (E13)."""
        named = {name.strip().lower() for name in request.headers.get("Connection", "").split(",")}
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in HOP_BY_HOP and name.lower() not in named and name.lower() != "expect"
        )
        if target.host:
            headers["Host"] = target.host
        client = request.remote or "127.0.0.1"
        earlier = request.headers.getall("X-Forwarded-For", [])
        headers["X-Forwarded-For"] = ", ".join([*earlier, client])
        headers["X-Forwarded-Proto"] = self._rules.forwarded_proto
        headers["X-Forwarded-Host"] = headers.get("Host", "")
        return headers

    def _refuse(self, request: web.BaseRequest, count: Exchange, refused: Refused) -> web.Response:
        """Say which rule stands in the way. The connection ends with it: what is left of the request is not read."""
        message = self._fire(request, count, refused)
        answer = _text(count, refused.status, f"{message}\n")
        if request.body_exists and not request.content.is_eof():
            answer.force_close()
        return answer

    def _fire(self, request: web.BaseRequest, count: Exchange, refused: Refused) -> str:
        event = self._journal.fire(
            refused.name, found=refused.found, instance=count.instance, path=f"{request.method} {request.path}"
        )
        count.rule = event.rule
        if event.rule not in count.collected.rules:
            count.collected.rules.append(event.rule)
        return event.message

    def _broken(
        self,
        request: web.BaseRequest,
        instance: Instance,
        count: Exchange,
        response: web.StreamResponse | None,
        error: aiohttp.ClientError,
    ) -> web.StreamResponse:
        """The instance ended, or closed the connection, with the request in flight."""
        path = f"{request.method} {request.path}"
        # A request that may be repeated was sent again, and met a process that is no more.
        why = "it has ended" if isinstance(error, aiohttp.ClientConnectorError) else str(error)
        self._journal.say(f"{instance.name} interrupted {path}: {why}.", level="error", instance=instance.name)
        if response is None:
            return _text(count, 502, "The instance interrupted the request.\n")
        _cut_off(request)
        return response


def _head(upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in upstream.headers.items():
        if name.lower() not in HOP_BY_HOP:
            response.headers.add(name, value)
    return response


def _text(count: Exchange, status: int, text: str) -> web.Response:
    count.status = status
    count.take_answer(text.encode())
    return web.Response(status=status, text=text)


def _cut_off(request: web.BaseRequest) -> None:
    """Close the connection: the client sees that something is missing."""
    if request.transport is not None:
        request.transport.close()
