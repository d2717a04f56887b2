"""Long work inside a request, stopped when the client disconnects."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any, NoReturn, TypeVar

from starlette.requests import ClientDisconnect, Request

from fastopp.errors import Unavailable

T = TypeVar("T")


class Stopping(Unavailable):
    """This process is being stopped."""


async def while_connected(request: Request, work: Coroutine[Any, Any, T], *, until_sigterm: bool = False) -> T:
    """Return the result of `work`, which is cancelled when the client leaves.

    Call it once the request's body has been read. Raise ClientDisconnect, Stopping.

    Parameters
    ----------
    until_sigterm: cancel it on SIGTERM, too. A server waits for its requests before it ends, however long they take.
        For long work of which one runs at a time.
    """
    stopping = asyncio.Event()
    working = asyncio.ensure_future(work)
    ends = [asyncio.create_task(_left(request)), asyncio.create_task(_stopped(stopping))]
    try:
        with _on_sigterm(stopping.set) if until_sigterm else nullcontext():
            done, _ = await asyncio.wait((working, *ends), return_when=asyncio.FIRST_COMPLETED)
        if working not in done:
            done.pop().result()  # raises
        return working.result()
    finally:
        for task in (working, *ends):
            task.cancel()
        await asyncio.wait((working, *ends))
        for task in (working, *ends):
            with suppress(asyncio.CancelledError):
                task.exception()  # no one else asks for it


async def _left(request: Request) -> NoReturn:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientDisconnect


async def _stopped(stopping: asyncio.Event) -> NoReturn:
    await stopping.wait()
    raise Stopping


@contextmanager
def _on_sigterm(callback: Callable[[], None]) -> Iterator[None]:
    """Call back before the server's own handler does its work; nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, previous = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        if callable(previous):
            previous(number, frame)
        elif previous is signal.SIG_DFL:
            raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is handle:
            signal.signal(signal.SIGTERM, previous)
