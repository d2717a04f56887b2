"""Run work that is independent of tasks inside a task: report its progress, and stop it when asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished

INTERVAL = 0.5  # seconds between two looks at how far it is

T = TypeVar("T")


async def run_until_stopped(
    context: TaskContext, work: Coroutine[Any, Any, T], tell: Callable[[], Awaitable[None]]
) -> T:
    """Await `work`, calling `tell` meanwhile. It must be safe to cancel and run again.

    Raises
    ------
    Unfinished: the time is up, or the task is to stop; the work has been cancelled by then.
    """
    running = asyncio.create_task(work)
    try:
        while not running.done():
            await asyncio.wait([running], timeout=INTERVAL)
            await tell()
            if context.should_stop() and not running.done():
                raise Unfinished
        return running.result()
    finally:
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
