"""Add the calls of a storage to the work that makes them. A call within another one is part of it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Any, Final

from fastopp.recording import Work, current_work

CALLS: Final = ("put", "stream", "head", "list", "delete", "get", "open", "pages", "presigned_get", "copy")
"""The methods of a storage that may wait for a disk or a network."""

_inside: ContextVar[bool] = ContextVar("fastopp_inside_storage", default=False)


def add_to_work(kind: type) -> None:
    """Have the calls that a class defines added to the current work."""
    for name in CALLS:
        method = vars(kind).get(name)
        if inspect.iscoroutinefunction(method):
            setattr(kind, name, _timed(method))
        elif inspect.isasyncgenfunction(method):
            setattr(kind, name, _timed_pieces(method))


def _timed(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    async def call(*values: Any, **options: Any) -> Any:  # noqa: ANN401 - the method's
        work = current_work.get()
        if work is None or _inside.get():
            return await method(*values, **options)
        work.storage_calls += 1
        with _timing(work, method.__name__):
            return await method(*values, **options)

    return call


def _timed_pieces(method: Callable[..., AsyncGenerator[Any]]) -> Callable[..., AsyncGenerator[Any]]:
    @functools.wraps(method)
    def call(*values: Any, **options: Any) -> AsyncGenerator[Any]:  # noqa: ANN401 - the method's
        work = current_work.get()
        pieces = method(*values, **options)
        return pieces if work is None or _inside.get() else _each_timed(work, pieces, method.__name__)

    return call


async def _each_timed(work: Work, pieces: AsyncGenerator[Any], name: str) -> AsyncGenerator[Any]:
    work.storage_calls += 1
    before = work.storage_seconds
    try:
        while True:
            with _timing(work):
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            yield piece
    finally:
        await pieces.aclose()
        if work.trace is not None:
            work.trace.call(name, work.storage_seconds - before)


@contextmanager
def _timing(work: Work, name: str = "") -> Iterator[None]:
    """Add the time of a block; with the name of a call, that is a span too."""
    began, token, error = perf_counter(), _inside.set(True), ""
    try:
        yield
    except Exception as raised:
        error = type(raised).__name__
        raise
    finally:
        _inside.reset(token)
        seconds = perf_counter() - began
        work.storage_seconds += seconds
        if name and work.trace is not None:
            work.trace.call(name, seconds, error)
