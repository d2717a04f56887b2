"""The interface of what sends spans and figures to a collector: `fastopp.features.otlp`, where one is set up.

Nothing here imports OpenTelemetry's SDK: most processes send nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Done(Protocol):
    """Finished work: `fastopp.recording.Work`, which is above this module."""

    kind: str
    name: str
    method: str
    outcome: str
    seconds: float
    queries: int
    database_seconds: float
    storage_calls: int
    storage_seconds: float
    bytes: int
    cold: bool


class Trace(Protocol):
    """The span of a request or of an attempt of a task, whose queries and calls of the storage are spans below it."""

    def query(self, statement: str, seconds: float, error: str = "") -> None:
        """Add a query that has just ended.

        Parameters
        ----------
        statement: the SQL without values.
        error: the type of the error that it ended with.
        """
        ...

    def call(self, name: str, seconds: float, error: str = "") -> None:
        """Add a call of the storage that has just ended."""
        ...

    def end(self, work: Done, request_id: str = "") -> None:
        """End the span, with what is known of the work."""
        ...


class Tracing(Protocol):
    """Makes the spans of a process, and pushes them together with its figures."""

    instance: str
    """The id of this process."""
    when_full: Callable[[], object] | None
    """Called when many spans wait, where a push may run beside what follows."""

    @property
    def fastapi(self) -> dict[str, Any]:
        """The `telemetry` of the FastAPI application, which makes the spans of requests."""
        ...

    def request(self) -> Trace | None:
        """Return the trace of the request that is being answered; None if it is not sampled."""
        ...

    def attempt(
        self, name: str, *, job_id: int, attempt: int, traceparent: str
    ) -> AbstractContextManager[Trace | None]:
        """Make the span of an attempt current for a block: a child of the one that queued the job."""
        ...

    def traceparent(self) -> str:
        """Return the current span as the header `traceparent` has it; empty if it is not sampled."""
        ...

    def count(self, work: Done) -> None:
        """Count a finished piece of work."""
        ...

    async def push(self) -> None:
        """Send what has come, within a time limit. Nothing is raised: what cannot be sent is dropped and counted."""
        ...
