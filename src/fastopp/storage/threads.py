"""Work that is finished even if its caller no longer waits for it, in a worker thread or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def shielded() -> AbstractContextManager[object]:
    """A block in which no scope cancels an `await`.

    The first one of a process has anyio import its asyncio part, which takes 50 ms. What has to be quick enters one
    only where it was cancelled.
    """
    from anyio import CancelScope  # noqa: PLC0415 - as above

    return CancelScope(shield=True)


async def run_to_end(function: Callable[[*Ts], T], *args: *Ts, executor: Executor | None = None) -> T:
    """Call a blocking function in a worker thread and wait until it has ended, even when cancelled.

    A thread cannot be stopped. Without this, a cancelled upload would be cleaned up while its thread
    still writes.

    Parameters
    ----------
    executor: whose threads; None: the event loop's, which all such work shares.
    """
    work = asyncio.get_running_loop().run_in_executor(executor, copy_context().run, function, *args)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with shielded():
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log it
        raise
