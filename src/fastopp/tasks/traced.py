"""The span that a job is queued in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastopp.tasks.host import Host


def traceparent_of(runtime: Host) -> str:
    """Return the current span, to be kept with a job; empty where none is sent to a collector."""
    return runtime.tracing.traceparent() if runtime.tracing is not None else ""
