"""Send errors to Sentry: within a time limit, and not again for a while after a failure.

Sentry's own transport sends from a thread, which does not run where a process is frozen between requests. So its client
makes the envelopes, and they are sent here, before the answer.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import threading
from pathlib import Path
from typing import Any, Final

from sentry_sdk import Client
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport
from sentry_sdk.utils import Dsn

from fastopp.certificates import trusted_certificates
from fastopp.core.release_id import release_id
from fastopp.core.runtime import Runtime
from fastopp.features.sentry.events import event_of
from fastopp.reporting import Occurrence
from fastopp.token_bucket import TokenBucket

log = logging.getLogger(__name__)

LIMIT: Final = 0.9  # seconds for all requests: an answer waits for them, and at most one second for all sinks
PAUSE: Final = 60.0  # seconds after a failure in which nothing is sent
WAITING: Final = 30  # errors that wait to be sent
AT_ONCE, EVERY = 30, 2.0  # errors of a process, and seconds until one more; the rest is dropped and counted


class _Waiting(Transport):
    """Keeps the envelopes of Sentry's client."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self.envelopes: list[bytes] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep an envelope as bytes."""
        self.envelopes.append(envelope.serialize())


class SentrySink:
    """Sends errors when they are flushed."""

    def __init__(self, runtime: Runtime) -> None:
        settings, self._clock = runtime.settings, runtime.clock
        self._settings = settings
        dsn = settings.sentry_dsn.get_secret_value()
        auth = Dsn(dsn).to_auth("fastopp")
        self._address = auth.get_api_url()
        self._headers = {
            "X-Sentry-Auth": auth.to_header(),
            "Content-Type": "application/x-sentry-envelope",
            "Content-Encoding": "gzip",
        }
        options: dict[str, Any] = {
            "dsn": dsn,
            "release": release_id(settings, Path.cwd()) or None,
            "environment": settings.environment,
            "server_name": runtime.recorder.instance,
            "include_local_variables": False,
            "max_breadcrumbs": 0,
            # Nothing is patched, no thread is started, and nothing is collected: the events are made here.
            "default_integrations": False,
            "auto_enabling_integrations": False,
            "auto_session_tracking": False,
            "send_client_reports": False,
            "enable_backpressure_handling": False,
            "spotlight": False,
        }
        self._transport = _Waiting(options)
        self._client = Client(**options, transport=self._transport)
        self._budget = TokenBucket(self._clock, AT_ONCE, EVERY)
        self._lock = threading.Lock()
        self._paused_until = float("-inf")
        self.dropped = 0
        """Errors that were not sent."""

    def add(self, occurrence: Occurrence) -> None:
        """Make the event of an error, unless there were many just now or Sentry is away."""
        with self._lock:
            if self._paused or len(self._transport.envelopes) >= WAITING or not self._budget.take():
                self.dropped += 1
                return
        event = event_of(occurrence, self._settings, dict(self._client.options))
        with self._lock:
            self._client.capture_event(event)  # type: ignore[arg-type] # Sentry's dictionary of known keys

    async def flush(self) -> None:
        """Send what was added. Raises nothing but a cancellation: what cannot be sent is dropped and counted."""
        with self._lock:
            envelopes = self._transport.envelopes
            self._transport.envelopes = []
        if not envelopes:
            return
        import httpx  # noqa: PLC0415 - 100 ms that only a process pays that sends something

        sent = 0
        try:
            async with (
                asyncio.timeout(LIMIT),
                httpx.AsyncClient(
                    verify=await trusted_certificates(), trust_env=False, headers=self._headers
                ) as client,
            ):
                for envelope in envelopes:
                    async with client.stream("POST", self._address, content=gzip.compress(envelope)) as answer:
                        if not answer.is_success:
                            self._failed(len(envelopes) - sent, f"status {answer.status_code}")
                            return
                    sent += 1
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
            self._failed(len(envelopes) - sent, type(error).__name__)

    @property
    def _paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    def _failed(self, count: int, reason: str) -> None:
        self._paused_until = self._clock.monotonic() + PAUSE
        self.dropped += count
        log.warning(
            "Sentry has not taken errors, and %d are lost there: %s", count, reason,
            extra={"action": "sentry_failed", "reason": reason, "dropped": count},
        )  # fmt: skip
