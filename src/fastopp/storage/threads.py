"""Blocking work in a worker thread that is never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar, TypeVarTuple

from fastopp.storage.cancellation import shielded

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


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
