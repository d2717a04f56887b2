"""Errors on their way from where they are caught to the features that record them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType, MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Protocol

from fastopp.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger(__name__)

LIMIT: Final = 1.0  # seconds that an answer or the end of a task waits at most until its errors are stored
LONGEST: Final = 10.0  # seconds that storing may take meanwhile: with one connection, while others are answered
PAUSE: Final = 10.0  # seconds after a failure in which no answer waits

Kind = Literal["request", "task", "retry", "background", "reported"]
"""The kind of work that failed. "retry" is an attempt of a task that is made again."""


class Occurrence(NamedTuple):
    """An error, and what it happened in."""

    error: BaseException
    kind: Kind
    scope: Mapping[str, Any] | None = None
    """The ASGI scope of the request."""
    task: str = ""
    """Name of the task, or of the background work."""
    job_id: int | None = None
    attempt: int | None = None
    context: Mapping[str, object] = MappingProxyType({})
    """The values that the caller of `report` gave along."""
    caller: FrameType | None = None
    """The frame that called `report`, for an error that was never raised."""


class ErrorSink(Protocol):
    """Records errors; made by the `create_sink(runtime)` of a feature's error_sink.py."""

    def add(self, occurrence: Occurrence) -> None:
        """Take an error, from any thread. Keep neither it nor its frames."""
        ...

    async def flush(self) -> None:
        """Store what was added. What could not be stored is to be kept for the next call."""
        ...


class Place(NamedTuple):
    """The request or the attempt of a task that the running code belongs to."""

    reports: ErrorReports
    scope: Mapping[str, Any] | None = None
    task: str = ""
    job_id: int | None = None
    attempt: int | None = None


_place: ContextVar[Place | None] = ContextVar("fastopp_place", default=None)


class ErrorReports:
    """Passes errors on to the sinks, and has them stored within a time limit. Nothing of it raises.

    Parameters
    ----------
    find_sinks: finds the sinks, with the first error.

    `limit` is the time that `flush` takes at most, in seconds.
    """

    def __init__(self, find_sinks: Callable[[], Sequence[ErrorSink]] = lambda: (), clock: Clock = SYSTEM_CLOCK) -> None:
        self._find_sinks = find_sinks
        self._clock = clock
        self.limit = LIMIT
        self._lock = threading.Lock()
        self._sinks: Sequence[ErrorSink] | None = None
        self._added = self._stored = 0  # numbers of the last error that was added, and stored
        self._storing: asyncio.Task[None] | None = None
        self._paused_until = float("-inf")

    @property
    def waiting(self) -> bool:
        """Whether something is to be stored, and storing it did not fail a moment ago."""
        return self._stored < self._added and self._clock.monotonic() >= self._paused_until

    def report(self, error: BaseException, **context: object) -> None:
        """Record an error; outside requests and tasks too, where `fastopp.report` only logs it."""
        self._report(error, context, inspect.currentframe())

    def add(self, occurrence: Occurrence) -> None:
        """Pass an error to the sinks, from any thread. It is stored by the next `flush`."""
        try:
            with self._lock:
                if self._sinks is None:
                    self._sinks = ()  # also when they cannot be made
                    self._sinks = self._find_sinks()
        except Exception:  # the edge: an error has happened already, and that one is answered
            log.exception("Errors cannot be recorded")
        if not self._sinks:
            return
        for sink in self._sinks:
            try:
                sink.add(occurrence)
            except Exception:  # the edge, as above; other sinks have it nevertheless
                log.exception("An error could not be recorded")
        with self._lock:
            self._added += 1

    async def flush(self) -> None:
        """Have everything stored that was added so far. Returns after `limit` seconds in any case.

        Callers at the same time share one transaction. While it fails, errors wait in memory.
        """
        wanted, until = self._added, asyncio.get_running_loop().time() + self.limit
        while self._stored < wanted and self.waiting:
            if self._storing is None:
                self._storing = asyncio.create_task(self._store(), name="store errors")
            left = until - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait((self._storing,), timeout=max(0.0, left))
            if not done:
                self._pause("no answer in time")

    async def aclose(self) -> None:
        """Store what waits, within the time limit, and end."""
        await self.flush()
        if (storing := self._storing) is not None:
            storing.cancel()
            await asyncio.wait((storing,), timeout=self.limit)

    async def _store(self) -> None:
        number = self._added
        try:
            # In a separate task: a driver may take longer than this to end a call that was cancelled.
            async with asyncio.timeout(max(LONGEST, self.limit)):
                flushes = (sink.flush() for sink in self._sinks or ())
                _raise_first(await asyncio.gather(*flushes, return_exceptions=True))
            self._stored, self._paused_until = number, float("-inf")
        except Exception as error:  # noqa: BLE001 - the edge: errors are answered whether or not they are stored
            self._pause(type(error).__name__)
        finally:
            self._storing = None

    def _pause(self, reason: str) -> None:
        self._paused_until = self._clock.monotonic() + PAUSE
        log.warning("Errors could not be stored, and wait: %s", reason, extra={"action": "errors_wait"})

    def _report(
        self, error: BaseException, context: Mapping[str, object], frame: FrameType | None, place: Place | None = None
    ) -> None:
        caller = frame.f_back if frame is not None else None
        _log(error)
        place = place or Place(self)
        self.add(Occurrence(error, "reported", place.scope, place.task, place.job_id, place.attempt, context, caller))


def report(error: BaseException, **context: object) -> None:
    """Record an error that your code has caught, with values that help to understand it. It never raises.

    The error is logged, and shown at /oppman/errors. It is stored when the request or the attempt of the task ends,
    also if that fails. Outside both, it is only logged; `runtime.errors.report` records it there.

    Parameters
    ----------
    context: up to 20 values. They are cut, and secrets in them are masked.
    """
    place = _place.get()
    if place is None:
        _log(error)
    else:
        place.reports._report(error, context, inspect.currentframe(), place)  # noqa: SLF001 - of this module


@contextmanager
def within(place: Place) -> Iterator[None]:
    """Have `report` know for this block what the running code belongs to."""
    before = _place.set(place)
    try:
        yield
    finally:
        _place.reset(before)


def current_place() -> Place | None:
    """Return what the running code belongs to."""
    return _place.get()


def _raise_first(ended: Sequence[BaseException | None]) -> None:
    """Raise the first error of work that has ended."""
    for each in ended:
        if each is not None:
            raise each


def _log(error: BaseException) -> None:
    known = error if isinstance(error, BaseException) else None
    log.error("Reported: %s", type(error).__name__, exc_info=known, extra={"action": "reported"})
