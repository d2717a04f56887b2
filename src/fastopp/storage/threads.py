"""Blocking work in a worker thread that is never left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

from anyio import CancelScope, CapacityLimiter, to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_to_end(function: Callable[[*Ts], T], *args: *Ts, limiter: CapacityLimiter | None = None) -> T:
    """Call a blocking function in a worker thread and wait until it has ended, even when cancelled.

    A thread cannot be stopped. Without this, a cancelled upload would be cleaned up while its thread
    still writes.

    Parameters
    ----------
    limiter: so many threads at once; None: as many as all such work shares.
    """
    work = asyncio.ensure_future(to_thread.run_sync(function, *args, limiter=limiter))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with CancelScope(shield=True):
            await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # nobody else will ask for it
        raise
