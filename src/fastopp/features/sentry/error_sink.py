"""Have errors sent to Sentry."""

from __future__ import annotations

import logging

from fastopp.core.runtime import Runtime
from fastopp.features.sentry.library import is_installed
from fastopp.reporting import ErrorSink

log = logging.getLogger(__name__)


def create_sink(runtime: Runtime) -> ErrorSink | None:
    """Return what sends the errors of a process; None without SENTRY_DSN, or where the library is not installed."""
    if not runtime.settings.sentry_dsn.get_secret_value():
        return None
    if not is_installed():
        log.warning(
            "SENTRY_DSN is set, but errors are not sent: install `fastopp[sentry]`, or remove it.",
            extra={"action": "sentry_missing"},
        )
        return None
    from fastopp.features.sentry.sending import SentrySink  # noqa: PLC0415 - imports Sentry's SDK

    return SentrySink(runtime)
