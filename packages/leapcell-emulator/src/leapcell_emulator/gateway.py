"""The way in: takes requests as LeapCell's edge does, applies its limits while they stream, and passes them on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from leapcell_emulator.confined import StartFailed
from leapcell_emulator.documented import MIB
from leapcell_emulator.events import Journal
from leapcell_emulator.fleet import Fleet, TooManyRequests
from leapcell_emulator.forwarding import answer_head, decoded, is_chunked, passed_headers, request_head
from leapcell_emulator.instance import Instance
from leapcell_emulator.limits import Refused, check_answer, check_head, is_ambiguous
from leapcell_emulator.routes import Route, find_route, pass_on
from leapcell_emulator.rule import format_size
from leapcell_emulator.rules import Rules
from leapcell_emulator.short_log import ShortLog
from leapcell_emulator.target import Target, read_target
from leapcell_emulator.traffic import Exchange, Traffic
from leapcell_emulator.upstream import InstanceGone
from leapcell_emulator.upstream_connection import LARGEST_HEAD, Connection, Interrupted
from leapcell_emulator.websocket import relay

PAGE: Final = "/__emulator"
CLIENT_GONE: Final = 499  # as nginx logs it: there is no client to answer

PageHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Gateway:
    """Answers every request with an instance's answer, or with what the rule says that stands in the way."""

    def __init__(
        self,
        fleet: Fleet,
        rules: Rules,
        journal: Journal,
        page: PageHandler | None = None,
        *,
        latency: float = 0.0,
        routes: Sequence[Route] = (),
    ) -> None:
        """`page` answers below `/__emulator`; `latency` is what a request takes to the region and back, in seconds.

        routes: the paths that other services answer.
        """
        self._routes = routes
        self.latency = latency
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
        count = Exchange(method=request.method, path=request.path_qs, raw_headers=request.raw_headers)
        count.read = not request.body_exists
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            return await self._answer(request, count)
        finally:
            count.seconds = round(time.perf_counter() - count.begun, 4)
            self.traffic.add(count)
            measured = count.measured(request.path) if self._journal.record is not None else {}
            self._journal.served(count.row(), measured)

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
        instance: Instance | None = None
        try:
            check_head(self._rules, request.method, request.raw_path, request.raw_headers)
            target = read_target(request.method, request.raw_path)
            if isinstance(target, int):
                return _text(count, target, "")
            if self._routes and (route := find_route(self._routes, request.path)):
                return await pass_on(request, target, route, count, self._rules.forwarded_proto)
            instance = await self._fleet.take(count)
            instance.last_request = f"{request.method} {request.path}"
            self._journal.begin(instance.name, count.collected)
            self._remark_on_turns(request, instance)
            return await self._forward(request, target, instance, count)
        except Refused as refused:
            return self._refuse(request, count, refused)
        except TooManyRequests as error:
            return self._refuse(request, count, Refused(error.status, "max_concurrency"))
        except StartFailed as error:
            self._journal.say(str(error), level="error", instance=count.instance)
            return _text(count, 503, f"{error.message.partition(chr(10))[0]}\n")
        finally:
            if instance is not None:
                self._fleet.give_back(instance, count)
                self._journal.end(instance.name, count.collected)

    async def _forward(
        self, request: web.BaseRequest, target: Target, instance: Instance, count: Exchange
    ) -> web.StreamResponse:
        """Pass the request on and its answer back, within the time a request may take (E5)."""
        response: web.StreamResponse | None = None
        try:
            async with asyncio.timeout(self._rules.request_timeout or None) as limit:
                headers = passed_headers(request, target, proto=self._rules.forwarded_proto)
                if request.headers.get("Expect", "").lower() == "100-continue":
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request.headers.get("Upgrade", "").lower() == "websocket":  # allowed: `check_head` has let it pass
                    count.status = 101
                    return await relay(request, instance, CIMultiDict(decoded(headers)))
                sent = time.perf_counter()
                chunked = is_chunked(request)
                upstream = await instance.upstream.ask(
                    request.method,
                    request_head(request.method, target.path, headers, chunked=chunked),
                    self._body(request, count) if request.body_exists else None,
                    chunked=chunked,
                )
                try:
                    count.application = time.perf_counter() - sent
                    count.raw_answer_headers = upstream.headers
                    check_answer(self._rules, request.method, upstream.headers)
                    count.status = upstream.status
                    body = await upstream.read() if upstream.complete and self._is_allowed(upstream.buffered) else None
                    response = answer_head(upstream.status, upstream.reason, upstream.headers, body)
                    await response.prepare(request)
                    if body is None:
                        await self._copy(upstream, response, request, count)
                    else:
                        count.take_answer(body)
                        await response.write_eof()  # with the head in one packet
                    self._remark_on_sizes(request, count)
                finally:
                    upstream.release()
        except TimeoutError:
            if not limit.expired():
                raise
            refused = Refused(504, "request_timeout")
        except Refused as error:
            refused = error
        except (Interrupted, aiohttp.ClientError) as error:
            if request.transport is None or request.transport.is_closing():
                return _text(count, CLIENT_GONE, "")
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

    def _is_allowed(self, size: int) -> bool:
        """Return whether an answer may have so many bytes (E7)."""
        return not self._rules.max_response_body or size <= self._rules.max_response_body

    async def _copy(
        self, upstream: Connection, response: web.StreamResponse, request: web.BaseRequest, count: Exchange
    ) -> None:
        """Pass an answer's body on as it comes; at the limit the rest is cut off (E7)."""
        limit = self._rules.max_response_body
        while chunk := await upstream.read():
            if limit and count.bytes_out + len(chunk) > limit:
                await response.write(chunk[: limit - count.bytes_out])
                count.take_answer(chunk[: limit - count.bytes_out])
                self._fire(request, count, Refused(0, "max_response_body"))
                _cut_off(request)
                return
            count.take_answer(chunk)
            await response.write(chunk)
        await response.write_eof()

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
        error: Interrupted | aiohttp.ClientError,
    ) -> web.StreamResponse:
        """The instance ended, or closed the connection, with the request in flight."""
        path = f"{request.method} {request.path}"
        # A request that may be repeated was sent again, and met a process that is no more.
        why = "it has ended" if isinstance(error, InstanceGone) else str(error)
        self._journal.say(f"{instance.name} interrupted {path}: {why}.", level="error", instance=instance.name)
        if response is None:
            return _text(count, 502, "The instance interrupted the request.\n")
        _cut_off(request)
        return response


def _text(count: Exchange, status: int, text: str) -> web.Response:
    count.status = status
    count.take_answer(text.encode())
    return web.Response(status=status, text=text)


def _cut_off(request: web.BaseRequest) -> None:
    """Close the connection: the client sees that something is missing."""
    if request.transport is not None:
        request.transport.close()
