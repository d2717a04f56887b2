"""The spans that wait to be sent: a bounded number, and without what may be secret."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.trace import Status

from fastopp.settings import Settings
from fastopp.tasks.failure import known_secrets
from fastopp.web.developer_errors.masking import MASK, is_secret_name

MOST: Final = 2048  # spans that wait, as OpenTelemetry's own processor keeps
LONGEST: Final = 2000  # characters of a text

PRIVATE: Final = frozenset(
    {"url.path", "url.query", "url.full", "http.request.method_original", "client.address", "user_agent.original"}
)
"""Attributes that may hold a secret, or say who the visitor is."""


class SpanQueue(SpanProcessor):
    """Keeps ended spans until they are sent. Those beyond the most are dropped and counted."""

    def __init__(self, settings: Settings) -> None:
        self.dropped = 0
        """Spans that will not be sent, since the process began."""
        self._secrets = tuple(known_secrets(settings))
        self._waiting: deque[ReadableSpan] = deque()
        self._taken: set[int] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, ended: ReadableSpan) -> None:
        """Queue a span that is not ended yet, as it is to be sent."""
        assert ended.context is not None  # noqa: S101 - every span that is recorded has one
        self._taken.add(ended.context.span_id)
        self._put(ended)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended, unless it was taken before."""
        if span.context is not None and span.context.span_id in self._taken:
            self._taken.discard(span.context.span_id)
        else:
            self._put(span)

    def next(self, most: int) -> list[ReadableSpan]:
        """Remove and return the oldest spans."""
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]

    def cleaned(self, spans: Iterable[ReadableSpan]) -> list[ReadableSpan]:
        """Return spans as they may be sent."""
        return [self._cleaned(span) for span in spans]

    def _put(self, span: ReadableSpan) -> None:
        if len(self._waiting) >= MOST:
            self.dropped += 1
        else:
            self._waiting.append(span)

    def _cleaned(self, span: ReadableSpan) -> ReadableSpan:
        events = [Event(self._text(each.name), self._attributes(each.attributes), each.timestamp)
                  for each in span.events]  # fmt: skip
        status = span.status
        if status.description:
            status = Status(status.status_code, self._text(status.description))
        return ReadableSpan(
            self._text(span.name), span.context, span.parent, span.resource, self._attributes(span.attributes), events,
            span.links, span.kind, status=status, start_time=span.start_time, end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )  # fmt: skip

    def _attributes(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        return {name: self._value(name, value) for name, value in (given or {}).items() if name not in PRIVATE}

    def _value(self, name: str, value: object) -> object:
        if isinstance(value, str):
            return MASK if is_secret_name(name) else self._text(value)
        if isinstance(value, tuple | list):
            return [self._value(name, each) for each in value]
        if isinstance(value, Mapping):
            return {str(key): self._value(str(key), each) for key, each in value.items()}
        if isinstance(value, bytes):
            return MASK
        return value

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        return text[:LONGEST]
