"""Work that costs about as much for many things as for one: what comes while it goes on waits for the next round."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from fastopp.storage.threads import run_to_end

T = TypeVar("T")
Start = Callable[[Coroutine[Any, Any, None]], object]


class Grouped(Generic[T]):
    """Calls a blocking function with all that has come meanwhile.

    Parameters
    ----------
    work: gets some things, and returns for each what went wrong, or None.
    at_once: threads that work at the same time.
    start: begins a task beside the caller.
    """

    def __init__(self, work: Callable[[list[T]], list[Exception | None]], at_once: int, start: Start) -> None:
        self._work = work
        self._at_once = at_once
        self._start = start
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []
        self._working = 0

    async def do(self, thing: T) -> None:
        """Wait until it is done with one thing. Raises what went wrong with it. No thread has it afterwards."""
        done = asyncio.get_running_loop().create_future()
        entry = thing, done
        self._waiting.append(entry)
        if self._working < self._at_once:
            self._working += 1
            self._start(self._rounds())
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                await asyncio.wait([done])
                _ = done.cancelled() or done.exception()  # nobody else will ask for it
            raise

    async def _rounds(self) -> None:
        group: list[tuple[T, asyncio.Future[None]]] = []
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                errors = await run_to_end(self._work, [thing for thing, _ in group])
                for (_, done), error in zip(group, errors, strict=True):
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(error)
        finally:
            self._working -= 1
            for _, done in group:
                done.cancel()  # does nothing to those that are done
