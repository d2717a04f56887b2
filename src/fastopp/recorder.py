"""The recorder of a process: adds finished work up until it is written."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.frozen_time import FrozenTime
from fastopp.recording import (
    INSTANCE,
    MAX_KNOWN,
    MAX_SERIES,
    NO_ROUTE,
    OTHER,
    QUERY,
    REQUEST,
    TASK,
    Batch,
    Figures,
    Key,
    Statement,
    Work,
    working,
)
from fastopp.token_bucket import TokenBucket

INTERVAL: Final = 10.0  # seconds from one flush to the next
SOON_AT_ONCE, SOON_EVERY = 10, 1.0  # flushes after errors (5xx) that may follow each other, and seconds until one more
MINUTE: Final = 60

MAX_NAME: Final = 200  # characters
METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
OTHER_METHOD: Final = "_OTHER"  # https://opentelemetry.io/docs/specs/semconv/http/http-metrics/

START: Final = "start"
FROZEN: Final = "frozen"
"""Series of `INSTANCE`: the time to the first answer of a process, and the times for which it was frozen."""


class Recorder:
    """The figures of this process.

    Parameters
    ----------
    enabled: whether anything is recorded.
    count_statements: whether work counts how often it runs each statement.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, enabled: bool = True, count_statements: bool = False) -> None:
        self.enabled = enabled
        self.instance = secrets.token_hex(8)
        """The id of this process."""
        self.started = int(clock.time())
        self.start_seconds: float | None = None
        """From the start of the process to its first answer, without the time in which it waited for a request."""
        self.frozen_seconds = 0.0
        self.listener: Callable[[], None] | None = None
        """Called after each attempt of a task."""
        self.counter: Callable[[Work], None] | None = None
        """Called with all finished work."""
        self._clock = clock
        self._count_statements = count_statements
        self._frozen = FrozenTime(clock)
        self._figures: dict[tuple[int, Key], Figures] = {}
        self._newest = 0
        self._statements: dict[str, Statement] = {}
        self._written: dict[str, None] = {}
        self._unwritten: Batch | None = None
        self._number = 0
        self._flushed_at = float("-inf")
        self._soon = TokenBucket(clock, SOON_AT_ONCE, SOON_EVERY)
        self._running = 0
        self._begun = 0

    # Work

    def begin_request(self, method: str) -> Work:
        """Open the work of a request."""
        work = Work(REQUEST, method=method if method in METHODS else OTHER_METHOD,
                    count_statements=self._count_statements)  # fmt: skip
        if not self.enabled:
            return work
        work.cold = self.start_seconds is None
        work.frozen = self._frozen.look()
        if work.frozen:
            self.frozen_seconds += work.frozen
            self._add_instance(FROZEN, work.frozen)
        return work

    @contextmanager
    def attempt(self, name: str) -> Iterator[Work]:
        """Record a block as an attempt of a task, whose outcome it sets."""
        work = Work(TASK, name, count_statements=self._count_statements)
        work.outcome = "lost"
        number, processor = self.began(), time.process_time()
        try:
            with working(work):
                yield work
        finally:
            work.end()
            if self.ended(number):
                work.processor_seconds = time.process_time() - processor
            if work.trace is not None:
                work.trace.end(work)
            self.add(work)

    def began(self) -> int | None:
        """Note that work begins: a number for `ended`, or None if other work is running."""
        self._begun += 1
        self._running += 1
        return self._begun if self._running == 1 else None

    def ended(self, number: int | None) -> bool:
        """Note that work ends. Returns whether no other work was running meanwhile."""
        self._running -= 1
        return number == self._begun

    def first_answer(self, seconds: float) -> None:
        """Note the time to the first answer of this process."""
        self.start_seconds = seconds
        self._add_instance(START, seconds)

    def add(self, work: Work) -> None:
        """Count a finished piece of work."""
        if work.kind == REQUEST:
            self._frozen.touch()
        name = work.name[:MAX_NAME] or NO_ROUTE
        if not name.isprintable():  # a database takes neither NUL nor half a surrogate pair
            name = "".join(each if each.isprintable() else "?" for each in name)
        self._of(Key(work.kind, name, work.method, work.outcome)).add(work)
        for statement, seconds in work.slow:
            self._add_statement(statement, seconds)
        if self.counter is not None:
            self.counter(work)
        if work.kind == TASK and self.listener is not None:
            self.listener()

    def _add_instance(self, name: str, seconds: float) -> None:
        self._of(Key(INSTANCE, name, "", "")).add_seconds(seconds)

    def _add_statement(self, statement: Statement, seconds: float) -> None:
        name = hashlib.sha256("\n".join(statement).encode(errors="replace")).hexdigest()[:32]
        if name not in self._written and name not in self._statements:
            if len(self._statements) >= MAX_KNOWN:
                name = OTHER
            else:
                self._statements[name] = statement
        self._of(Key(QUERY, name, "", "")).add_seconds(seconds)

    def _of(self, key: Key) -> Figures:
        """Return the figures of a series in this minute. While nothing can be written, minutes are put together."""
        if len(self._figures) < MAX_SERIES or not self._newest:
            self._newest = int(self._clock.time()) // MINUTE * MINUTE
        place = self._newest, key
        if place not in self._figures and len(self._figures) >= MAX_SERIES:
            place = self._newest, key._replace(name=OTHER)
        return self._figures.setdefault(place, Figures())

    # Flushes

    def is_due(self, *, soon: bool = False) -> bool:
        """Return whether it is time for a flush; `soon` after an error, or where no request may follow.

        Errors are flushed at once, each by itself, unless there are many of them.
        """
        return self._clock.monotonic() - self._flushed_at >= INTERVAL or (soon and self._soon.has_one())

    def due_in(self) -> float:
        """Return the seconds until it is time for a flush."""
        return max(0.0, self._flushed_at + INTERVAL - self._clock.monotonic())

    def take(self) -> Batch | None:
        """Return the figures to write: those of an earlier flush whose outcome is unknown, or else all new ones."""
        self._flushed_at = self._clock.monotonic()
        self._soon.take()
        if self._unwritten is None and self._figures:
            self._number += 1
            self._unwritten = Batch(self._number, self._figures, self._statements)
            self._figures, self._statements, self._newest = {}, {}, 0
        return self._unwritten

    def written(self, batch: Batch) -> None:
        """Note that a batch is in the database."""
        if self._unwritten is batch:
            self._unwritten = None
        self._written |= dict.fromkeys(batch.statements)
        while len(self._written) > 10 * MAX_KNOWN:
            del self._written[next(iter(self._written))]

    @property
    def is_unsure(self) -> bool:
        """Whether a batch waits that may or may not have been written."""
        return self._unwritten is not None

    @property
    def pending(self) -> bool:
        """Whether there is something to write."""
        return self._unwritten is not None or bool(self._figures)

    def close(self) -> None:
        """Stop looking at the clock."""
        self._frozen.close()
