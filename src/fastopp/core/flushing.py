"""Flushes: moments in a request, or after it, at which features write what this process has recorded.

A feature whose `flush.py` has a coroutine function `flush(runtime)` takes part; with `LAST = True`, after the others.
Where the process is frozen between requests, a flush is part of a request, which waits for it for `PATIENCE` seconds at
most. Elsewhere it follows one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastopp.core.background import BackgroundWork
from fastopp.core.features import features_with
from fastopp.recorder import INTERVAL, Recorder
from fastopp.recording import current_work

log = logging.getLogger(__name__)

PATIENCE: Final = 0.5  # seconds that an answer waits for a flush; then that goes on beside it
LIMIT: Final = 15.0  # seconds after which a flush is cancelled
LAST_LIMIT: Final = 1.0  # seconds that the end of a process waits for its last flush
NAME: Final = "flush"

Flush = Callable[[], Awaitable[object]]


class Flusher:
    """Starts the flushes of a process, one at a time. After a failed one there is none for a minute.

    Parameters
    ----------
    inside: whether the process runs only inside a request.
    """

    def __init__(self, recorder: Recorder, background: BackgroundWork, *, inside: bool) -> None:
        self.flush: Flush | None = None
        """Writes everything."""
        self.inside = inside
        self._recorder = recorder
        self._background = background
        self._timer: asyncio.TimerHandle | None = None

    async def before_end(self, *, soon: bool) -> None:
        """Flush inside a request, before the end of its answer, if it is time. Returns in time in any case."""
        ended = self._start(soon=soon)
        if ended is not None:
            try:
                async with asyncio.timeout(PATIENCE):
                    await ended.wait()
            except TimeoutError:
                log.debug("A flush takes long")

    def after(self, *, soon: bool = False) -> None:
        """Flush beside what follows, now or when it is time."""
        if self._start(soon=soon) is None and self._timer is None and self._recorder.enabled and not self.inside:
            # If a flush is running, or one has failed a moment ago, in a whole interval.
            wait = self._recorder.due_in() or INTERVAL
            self._timer = asyncio.get_running_loop().call_later(wait, self._in_time)

    async def at_end(self) -> None:
        """Write what is left at the end of the process, within `LAST_LIMIT` seconds."""
        self.close()
        await self._background.finish(NAME, limit=LAST_LIMIT)
        if self._recorder.pending and self._start(soon=True, last=True):
            await self._background.finish(NAME, limit=LAST_LIMIT)

    def close(self) -> None:
        """Start no more flushes by time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _in_time(self) -> None:
        self._timer = None
        if self._recorder.pending:
            self.after()

    def _start(self, *, soon: bool, last: bool = False) -> asyncio.Event | None:
        """Start a flush if it is time: an event that is set at its end."""
        if self.flush is None or not self._recorder.enabled or not (last or self._recorder.is_due(soon=soon)):
            return None
        flush, ended = self.flush, asyncio.Event()

        async def run() -> None:
            current_work.set(None)  # its queries are no part of the request's
            try:
                await flush()
            finally:
                ended.set()

        return ended if self._background.start(NAME, run, limit=LIMIT) else None


async def flush_features(runtime: Any) -> None:  # noqa: ANN401 - a Runtime, which is above this module
    """Have every feature write what it has, at once, and then those with LAST. Raise the first error when all ended."""
    modules: list[Any] = [feature.part("flush", "flush") for feature in features_with("flush")]
    failures: list[BaseException] = []
    for last in (False, True):
        flushes = [module.flush(runtime) for module in modules if getattr(module, "LAST", False) is last]
        ended = await asyncio.gather(*flushes, return_exceptions=True)
        failures += [each for each in ended if isinstance(each, BaseException)]
    if failures:
        raise failures[0]
