"""Short work that a request starts and does not wait for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import Unavailable
from fastopp.reporting import ErrorReports, Occurrence, current_place

log = logging.getLogger(__name__)

PAUSE = 60.0  # seconds after a failure in which work of the same name is not tried again


class BackgroundWork:
    """Runs one piece of work of each name at a time, within a time limit; more of the same name is dropped.

    So it suits only what the next request would do again. What it uses, like a connection, is bounded by the number
    of names.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, errors: ErrorReports | None = None) -> None:
        self._clock = clock
        self._errors = errors or ErrorReports()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._paused_until: dict[str, float] = {}

    def start(self, name: str, work: Callable[[], Awaitable[object]], *, limit: float) -> bool:
        """Start the work unless some of this name is running or has failed a moment ago. Returns whether it did.

        Parameters
        ----------
        limit: seconds after which it is cancelled.
        """
        if name in self._running or self._clock.monotonic() < self._paused_until.get(name, 0):
            return False
        self._running[name] = asyncio.create_task(self._run(name, work, limit))
        return True

    async def aclose(self) -> None:
        """Cancel what is running, and wait for its end."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def finish(self, name: str, *, limit: float) -> None:
        """Wait for the work of a name, if some is running, but not for longer than `limit` seconds."""
        running = self._running.get(name)
        if running is not None:
            await asyncio.wait((running,), timeout=limit)

    async def idle(self) -> None:
        """Wait until nothing is running."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _run(self, name: str, work: Callable[[], Awaitable[object]], limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await work()
        except Exception as error:  # noqa: BLE001 - the edge: no caller waits for the outcome
            self._paused_until[name] = self._clock.monotonic() + PAUSE
            log.warning("%s failed: %s", name, type(error).__name__, extra={"action": "background_failed"})
            if not isinstance(error, (Unavailable, TimeoutError)):
                place = current_place()  # the request that has started it
                self._errors.add(Occurrence(error, "background", place.scope if place else None, name))
                await self._errors.flush()
        finally:
            del self._running[name]
