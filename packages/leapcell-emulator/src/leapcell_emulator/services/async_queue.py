"""LeapCell's Async on this machine: a second address that takes a request now and delivers it to the application later.

Documented is that a request is written to a queue, that so many workers call the application with it, and that it may
have 5 MB. What is not: the answer (here 202 with no body), whether a failed delivery is repeated, whether a request may
get lost, come twice or late. So each of those can be had, to see that an application stands it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from leapcell_emulator import documented
from leapcell_emulator.loopback import HOST, listen
from leapcell_emulator.services.look import Table, shorten
from leapcell_emulator.services.notices import Notice, Notices

KEPT = 50  # requests that the page shows
MAX_WAITING = 1000  # requests in the queue; ours, to bound the memory
RETRY_AFTER = 1.0  # seconds before a failed delivery is repeated, then twice as long each time; ours

_OF_ONE_HOP = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncOptions:
    """The options; times in seconds, sizes in bytes."""

    workers: int = 1
    """Deliveries at a time."""
    retries: int = 0
    """Deliveries after one that ended in 5xx, or in no answer."""
    duplicate: float = 0.0
    """Share of requests that are delivered twice."""
    drop: float = 0.0
    """Share of requests that are lost."""
    delay: float = 0.0
    """Seconds that a request waits before its delivery."""
    retry_after: float = RETRY_AFTER
    max_body: int = documented.MAX_ASYNC_BODY
    timeout: float = documented.REQUEST_TIMEOUT
    """Seconds that a delivery may take."""
    port: int = 0
    """0: any that is free."""
    seed: int | None = None
    """For chances that repeat themselves."""


@dataclass(slots=True)
class Delivery:
    """A request that was taken, and what became of it."""

    number: int
    method: str
    path: str
    size: int
    state: str = "queued"
    """`queued`, `running`, `delivered`, `failed` or `lost`."""
    attempts: int = 0
    status: int | None = None
    """The application's last answer; None: none came."""
    taken: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def title(self) -> str:
        """As a log names it."""
        return f"async request {self.number} ({self.method} {self.path})"


@dataclass(frozen=True, slots=True)
class _Content:
    headers: CIMultiDict[str]
    body: bytes


class AsyncQueue:
    """A running Async: `async with AsyncQueue(target, options) as queue:`.

    Parameters
    ----------
    target: gives the application's public address, when it is first needed.
    notice: called when a request is refused, lost, delayed, or delivered again.
    """

    def __init__(
        self, target: Callable[[], str], options: AsyncOptions | None = None, *, notice: Notice | None = None
    ) -> None:
        self.target = target
        self.options = options or AsyncOptions()
        self.port = 0
        self.deliveries: deque[Delivery] = deque(maxlen=KEPT)
        """The last requests, the oldest first."""
        self.counts = dict.fromkeys(("taken", "refused", "delivered", "failed", "lost"), 0)
        self._notices = Notices(notice)
        self._chance = random.Random(self.options.seed)  # noqa: S311 - nothing secret
        self._numbers = itertools.count(1)
        self._queue: asyncio.Queue[tuple[Delivery, _Content]] = asyncio.Queue()
        self._waiting = 0  # with those that are delayed
        self._running = 0
        self._twice = False
        self._timers: set[asyncio.TimerHandle] = set()
        self._exit = contextlib.AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        options = self.options
        listener = self._exit.enter_context(
            contextlib.closing(listen(options.port, what="Async", option="--async-port"))
        )
        self.port = listener.getsockname()[1]
        self._session = await self._exit.enter_async_context(
            aiohttp.ClientSession(
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=options.timeout),
            )
        )
        workers = [asyncio.create_task(self._work()) for _ in range(options.workers)]
        self._exit.push_async_callback(self._end, workers)
        server = web.Server(
            self._take,
            auto_decompress=False,
            access_log=None,
            max_line_size=documented.MAX_REQUEST_LINE,
            max_field_size=documented.MAX_HEADER,
        )
        runner = web.ServerRunner(server, shutdown_timeout=0.5)
        self._exit.push_async_callback(runner.cleanup)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    @property
    def url(self) -> str:
        """The address that takes requests."""
        return f"http://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the address, which the dashboard shows. LeapCell sets no such variable; the name is ours."""
        return {"LEAPCELL_ASYNC_URL": self.url}

    def status(self) -> dict[str, Any]:
        """The queue, for the page."""
        return {
            "port": self.port,
            "workers": self.options.workers,
            "waiting": self._waiting,
            "running": self._running,
            "deliver_twice": self._twice,
            **self.counts,
            "requests": [asdict(delivery) for delivery in self.deliveries],
        }

    async def look(self, name: str, after: int) -> Table:
        """Return the last requests, the newest first, with what became of them."""
        table = Table(columns=["Number", "Taken", "Request", "Bytes", "State", "Attempts", "Answer"])
        for each in reversed(self.deliveries):
            request = shorten(f"{each.method} {each.path}")
            numbers = (each.number, each.taken, request, each.size, each.state, each.attempts, each.status or "")
            table.rows.append([str(value) for value in numbers])
        return table

    async def save(self, folder: Path) -> None:
        """Nothing is kept: what LeapCell's queue outlives is not documented."""

    async def load(self, folder: Path) -> bool:
        """Nothing was kept."""
        return False

    def deliver_twice(self) -> None:
        """Deliver the next request that comes twice."""
        self._twice = True

    async def drained(self) -> None:
        """Wait until nothing waits or runs."""
        while self._waiting or self._running:  # noqa: ASYNC110 - for tests, and --exec
            await asyncio.sleep(0.01)

    async def _end(self, workers: list[asyncio.Task[None]]) -> None:
        for timer in self._timers:
            timer.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._waiting >= MAX_WAITING:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "The queue is full.")
        body = bytearray()
        async for chunk in request.content.iter_any():
            body += chunk
            if self.options.max_body and len(body) > self.options.max_body:
                self._notices.tell("max_async_body", f"{request.method} {request.raw_path}")
                return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The request's body is too big for Async.")
        delivery = Delivery(next(self._numbers), request.method, request.raw_path, len(body))
        self.deliveries.append(delivery)
        self.counts["taken"] += 1
        self._put(delivery, _Content(_kept(request.headers), bytes(body)))
        return web.Response(status=HTTPStatus.ACCEPTED)

    def _refuse(self, status: HTTPStatus, text: str) -> web.Response:
        self.counts["refused"] += 1
        # The rest of the body would be taken for the next request.
        return web.Response(status=status, text=text, headers={"Connection": "close"})

    def _put(self, delivery: Delivery, content: _Content) -> None:
        """Queue a new request, or lose it."""
        options = self.options
        if self._chance.random() < options.drop:
            delivery.state = "lost"
            self.counts["lost"] += 1
            return self._notices.tell("async_drop", delivery.title)
        twice, self._twice = self._twice or self._chance.random() < options.duplicate, False
        if options.delay:
            self._notices.tell("async_delay", delivery.title)
        self._queue_after(options.delay, delivery, content)
        if twice:
            self._notices.tell("async_duplicate", delivery.title)
            self._queue_after(options.delay, delivery, content)
        return None

    def _queue_after(self, seconds: float, delivery: Delivery, content: _Content) -> None:
        self._waiting += 1
        if not seconds:
            return self._queue.put_nowait((delivery, content))

        def put() -> None:
            self._timers.discard(timer)
            self._queue.put_nowait((delivery, content))

        timer = asyncio.get_running_loop().call_later(seconds, put)
        return self._timers.add(timer)

    async def _work(self) -> None:
        while True:
            delivery, content = await self._queue.get()
            self._running += 1
            self._waiting -= 1
            try:
                await self._deliver(delivery, content)
            finally:
                self._running -= 1

    async def _deliver(self, delivery: Delivery, content: _Content) -> None:
        """Call the application once, and see to what follows from its answer."""
        delivery.state = "running"
        delivery.attempts += 1
        try:
            url = URL(self.target() + delivery.path, encoded=True)
            body = io.BytesIO(content.body) if content.body else None  # which aiohttp sends piece by piece
            async with self._session.request(
                delivery.method, url, headers=content.headers, data=body, allow_redirects=False
            ) as answer:
                async for _ in answer.content.iter_any():
                    pass  # its result is not awaited
                delivery.status = answer.status
        except (aiohttp.ClientError, TimeoutError):
            delivery.status = None
        if delivery.status is not None and delivery.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            delivery.state = "delivered"
            self.counts["delivered"] += 1
        elif delivery.attempts <= self.options.retries:
            delivery.state = "queued"
            self._notices.tell("async_retries", delivery.title)
            wait = self.options.retry_after * 2 ** (delivery.attempts - 1)
            self._queue_after(wait, delivery, content)
        else:
            delivery.state = "failed"
            self.counts["failed"] += 1


def _kept(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OF_ONE_HOP)
