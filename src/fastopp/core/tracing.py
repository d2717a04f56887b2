"""Find the feature that sends spans and figures to a collector; it is imported only where one is set up."""

from __future__ import annotations

from fastopp.clock import Clock
from fastopp.core.features import features_with
from fastopp.settings import Settings
from fastopp.tracing import Tracing


def open_tracing(settings: Settings, clock: Clock) -> Tracing | None:
    """Return the `create_tracing(settings, clock)` of the feature that has a tracing.py; None where none is set up."""
    if not settings.traces:
        return None
    for feature in features_with("tracing"):
        module = feature.part("tracing", "create_tracing")
        if module is not None and (made := module.create_tracing(settings, clock)) is not None:
            tracing: Tracing = made
            return tracing
    return None
