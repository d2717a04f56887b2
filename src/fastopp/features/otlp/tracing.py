"""Tracing for the processes of a site with a collector."""

from __future__ import annotations

import logging

from fastopp.clock import Clock
from fastopp.features.otlp.library import is_installed
from fastopp.settings import Settings
from fastopp.tracing import Tracing

log = logging.getLogger(__name__)


def create_tracing(settings: Settings, clock: Clock) -> Tracing | None:
    """Return what traces this process; None, and a warning, where the libraries are not installed."""
    if not is_installed():
        log.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is sent: install `fastopp[otlp]`, or remove it.",
            extra={"action": "otlp_missing"},
        )
        return None
    from fastopp.features.otlp.spans import OtlpTracing  # noqa: PLC0415 - imports OpenTelemetry's SDK

    return OtlpTracing(settings, clock)
