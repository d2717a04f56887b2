"""Record the work of this process: requests and attempts of tasks, each with its queries and its calls of the storage.

`begin_work` opens a `Work` for a request or an attempt; the database and the storage add to that of their caller.
Finished work goes into a `Recorder`, which adds it up until `fastopp.features.monitor` writes it to the database.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

from fastopp.tracing import Trace

BOUNDS: Final = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
)  # fmt: skip
"""Upper bounds in seconds of the buckets of every histogram. One more bucket has what took longer. The bounds never
change: histograms of all instances and of all times are added up."""

MAX_SERIES: Final = 500
"""Figures that a process keeps until they are written; work with further names is counted under `OTHER`."""
OTHER: Final = "(other)"
NO_ROUTE: Final = "(none)"
"""The name of requests that no route answered."""

MAX_STATEMENTS: Final = 200  # distinct statements of one piece of work that are counted
MAX_SLOW: Final = 20  # slow statements of one piece of work that are kept
MAX_KNOWN: Final = 200  # distinct slow statements that wait to be written

ARRIVAL: Final = "fastopp.arrival"
"""The key in the scope of requests that came while the application was starting: when it came by `perf_counter`, and
how long the process had taken to listen."""

REQUEST: Final = "request"
TASK: Final = "task"
QUERY: Final = "query"
INSTANCE: Final = "instance"


class Statement(NamedTuple):
    """A slow statement, or one that was repeated, with the line of the project that caused it."""

    text: str
    """The SQL without values."""
    caller: str
    """The file and line, as in `shop/routes.py, line 12`; empty where no line of the project is part of it."""


class Work:
    """One request or one attempt of a task. Times are in seconds."""

    __slots__ = (
        "_statements", "began", "bytes", "cold", "database_seconds", "frozen", "kind", "method", "name", "outcome",
        "processor_seconds", "queries", "repeated", "seconds", "slow", "storage_calls", "storage_seconds", "trace",
        "user",
    )  # fmt: skip

    def __init__(self, kind: str, name: str = "", *, method: str = "", count_statements: bool = False) -> None:
        self.kind = kind
        self.name = name
        """The template of the route, or the name of the task."""
        self.method = method
        self.outcome = ""
        """The status of the answer, or how the attempt ended."""
        self.began = time.perf_counter()
        self.seconds = 0.0
        self.queries = 0
        self.database_seconds = 0.0
        """Waiting for connections and for queries. Queries at the same time are added up."""
        self.storage_calls = 0
        self.storage_seconds = 0.0
        self.processor_seconds: float | None = None
        """Of the whole process, if it did nothing else meanwhile."""
        self.bytes = 0
        """Of the answer's body, as it was sent."""
        self.cold = False
        self.frozen = 0.0
        """The time for which the process had been frozen before."""
        self.user = ""
        """The id of the account; empty for others."""
        self.slow: list[tuple[Statement, float]] = []
        self.repeated: list[tuple[Statement, str]] = []
        """Statements that were repeated too often, each with its text for `times_run`."""
        self.trace: Trace | None = None
        """Its span, where it is sent to a collector."""
        self._statements: dict[str, int] | None = {} if count_statements else None

    def end(self) -> None:
        """Set the seconds."""
        self.seconds = time.perf_counter() - self.began

    def count_statement(self, text: str) -> int:
        """Count a statement, where that is wanted, and return how often it was run in this work; 0 if it is unknown."""
        counts = self._statements
        if counts is None or (text not in counts and len(counts) >= MAX_STATEMENTS):
            return 0
        counts[text] = count = counts.get(text, 0) + 1
        return count

    def times_run(self, text: str) -> int:
        """Return how often a counted statement was run."""
        return (self._statements or {}).get(text, 0)

    def keep_slow(self, statement: Statement, seconds: float) -> None:
        """Keep a slow statement."""
        if len(self.slow) < MAX_SLOW:
            self.slow.append((statement, seconds))


current_work: ContextVar[Work | None] = ContextVar("fastopp_work", default=None)
"""The work that queries and calls of the storage are added to. None where nothing is recorded."""


@contextmanager
def working(work: Work) -> Iterator[Work]:
    """Make this the current work for a block."""
    token = current_work.set(work)
    try:
        yield work
    finally:
        current_work.reset(token)


class Key(NamedTuple):
    """The series that a piece of work belongs to."""

    kind: str
    """`REQUEST`, `TASK`, `QUERY` or `INSTANCE`."""
    name: str
    method: str
    outcome: str


class Figures:
    """Sums over many pieces of work. All of them can be added up, `slowest` apart."""

    __slots__ = (
        "buckets", "bytes", "count", "database_seconds", "processor_count", "processor_seconds", "queries", "seconds",
        "slowest", "storage_calls", "storage_seconds",
    )  # fmt: skip

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.slowest = 0.0
        self.queries = 0
        self.database_seconds = 0.0
        self.storage_calls = 0
        self.storage_seconds = 0.0
        self.processor_count = 0
        """Pieces of work whose `processor_seconds` are known."""
        self.processor_seconds = 0.0
        self.bytes = 0
        self.buckets = [0] * (len(BOUNDS) + 1)

    def add_seconds(self, seconds: float) -> None:
        """Count something that took so long."""
        self.count += 1
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def add(self, work: Work) -> None:
        """Count a piece of work."""
        self.add_seconds(work.seconds)
        self.queries += work.queries
        self.database_seconds += work.database_seconds
        self.storage_calls += work.storage_calls
        self.storage_seconds += work.storage_seconds
        self.bytes += work.bytes
        if work.processor_seconds is not None:
            self.processor_count += 1
            self.processor_seconds += work.processor_seconds


class Batch(NamedTuple):
    """The figures of one flush. Written twice under the same number, they count once."""

    number: int
    figures: dict[tuple[int, Key], Figures]
    """By minute, in seconds since 1970, and series."""
    statements: dict[str, Statement]
    """Slow statements that this process has not written yet, by the name of their series."""
