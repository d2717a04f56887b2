"""Spans that wait: a bounded number, and without secrets."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from fastopp.features.otlp import queue
from fastopp.features.otlp.queue import SpanQueue
from fastopp.settings import load_settings

SECRET = "s3cr3t-0f-the-s1te-with-32-characters"


@pytest.fixture
def waiting() -> SpanQueue:
    return SpanQueue(load_settings({"SECRET_KEY": SECRET}))


@pytest.fixture
def tracer(waiting) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(waiting)
    return provider.get_tracer("test")


def test_spans_beyond_the_most_are_dropped_and_counted(waiting, tracer, monkeypatch):
    monkeypatch.setattr(queue, "MOST", 3)
    for number in range(5):
        tracer.start_span(f"{number}").end()
    assert [span.name for span in waiting.next(10)] == ["0", "1", "2"]
    assert (len(waiting), waiting.dropped) == (0, 2)


def test_a_span_that_was_taken_is_not_queued_again(waiting, tracer):
    span: Any = tracer.start_span("open", kind=SpanKind.SERVER)
    waiting.take(ReadableSpan("taken", context=span.get_span_context()))
    span.end()
    tracer.start_span("next").end()
    assert [each.name for each in waiting.next(10)] == ["taken", "next"]


def test_what_a_project_adds_is_masked(waiting, tracer):
    attributes = {
        "shop.note": f"it is {SECRET}!", "api_token": "anything", "list": ("a", SECRET), "url.query": "token=1",
        "client.address": "203.0.113.9", "count": 3, "raw": b"bytes",
    }  # fmt: skip
    span = tracer.start_span(f"work on {SECRET}", attributes=attributes)
    span.record_exception(ValueError(SECRET))
    span.set_status(StatusCode.ERROR, SECRET)
    span.end()
    (sent,) = waiting.cleaned(waiting.next(1))
    assert sent.attributes == {
        "shop.note": "it is ***!", "api_token": "***", "list": ["a", "***"], "count": 3, "raw": "***",
    }  # fmt: skip
    assert SECRET not in sent.to_json()
    assert "ValueError: ***" in sent.to_json()
