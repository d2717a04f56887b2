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
from fastopp.recorder import INTERVAL, SOON_EVERY, Recorder
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
        self._running: asyncio.Event | None = None

    async def before_end(self, *, soon: bool) -> None:
        """Flush inside a request, before the end of its answer, if it is time. Returns in time in any case."""
        try:
            async with asyncio.timeout(PATIENCE):
                if soon and self._running is not None:
                    await self._running.wait()  # it may have begun before this error, and cannot have it
                ended = self._start(soon=soon)
                if ended is not None:
                    await ended.wait()
        except TimeoutError:
            log.debug("A flush takes long")

    def after(self, *, soon: bool = False) -> None:
        """Flush beside what follows, now or when it is time."""
        if self._start(soon=soon) is not None or self.inside or not self._recorder.enabled:
            return
        if self._timer is None or soon:
            self.close()
            # If a flush is running, or one has failed a moment ago, in a whole interval; after an error sooner.
            wait = SOON_EVERY if soon else self._recorder.due_in() or INTERVAL
            self._timer = asyncio.get_running_loop().call_later(wait, self._in_time, soon)

    async def keep_looking(self) -> None:
        """Flush every `INTERVAL` seconds also while nothing happens, for what flushes look at. Never return.

        Nothing is written then, and with MONITOR=false nothing is recorded either.
        """
        while True:
            await asyncio.sleep(INTERVAL)
            self._start(soon=False, look=True)

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

    def _in_time(self, soon: bool) -> None:  # noqa: FBT001 - a callback
        self._timer = None
        if self._recorder.pending:
            self.after(soon=soon)

    def _start(self, *, soon: bool, last: bool = False, look: bool = False) -> asyncio.Event | None:
        """Start a flush if it is time: an event that is set at its end."""
        if self.flush is None or not (self._recorder.enabled or look):
            return None
        if not (last or look or self._recorder.is_due(soon=soon)):
            return None
        flush, ended = self.flush, asyncio.Event()

        async def run() -> None:
            current_work.set(None)  # its queries are no part of the request's
            try:
                await flush()
            finally:
                ended.set()

        if not self._background.start(NAME, run, limit=LIMIT):
            return None
        self._running = ended
        return ended


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
