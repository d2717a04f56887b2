"""Calls into obstore that leave nothing running behind.

An obstore future is done while the Rust thread that finished it is still inside Python, on its way out. If the
interpreter ends in that moment, the thread cannot get back the lock it waits for and takes the process down with
SIGABRT: one time in five when the request is the last thing a process does. The thread lets go of the future, and
of the buffer it was given, as its last act under the lock, so a call here is over when they are gone. That makes
any process end cleanly, however it ends, without closing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from weakref import ref

from obstore.store import S3Store

from fastopp.storage.threads import shielded

T = TypeVar("T")

_STEP = 0.001  # seconds between two looks
_STEPS = 2000  # a thread that stays longer than this is stuck: do not get stuck with it


async def call(store: S3Store, function: Callable[..., Awaitable[T]], *args: object, **options: object) -> T:
    """The result of one of obstore's async functions, once its thread has let go; also when cancelled.

    A `bytearray` or `bytes` among the arguments must not be changed while the call runs.
    """
    held: list[ref[Any]] = []
    given: list[object] = []
    for argument in args:
        if isinstance(argument, bytes | bytearray | memoryview):
            view = memoryview(argument)
            held.append(ref(view))
            given.append(view)
            del view
        else:
            given.append(argument)
    future = asyncio.ensure_future(function(*given, **options))
    held.append(ref(future))
    del given
    try:
        return await future
    finally:
        del future
        if _is_held(store, held):
            try:
                await _let_go(store, held)
            except asyncio.CancelledError:
                with shielded():
                    await _let_go(store, held)
                raise


def _is_held(store: S3Store, held: list[ref[Any]]) -> bool:
    store.prefix  # noqa: B018 - any call makes obstore give up what it has dropped outside the lock
    return any(reference() is not None for reference in held)


async def _let_go(store: S3Store, held: list[ref[Any]]) -> None:
    for _ in range(_STEPS):
        await asyncio.sleep(_STEP)
        if not _is_held(store, held):
            return
