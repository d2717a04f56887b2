"""Checks of the collector and of Sentry: settings that do not fit together, and missing libraries."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fastopp.checks.context import CheckContext
from fastopp.clock import SYSTEM_CLOCK
from fastopp.features.otlp import checks, library
from fastopp.features.otlp.tracing import create_tracing
from fastopp.features.sentry import checks as sentry_checks
from fastopp.features.sentry import error_sink
from fastopp.features.sentry import library as sentry_library
from fastopp.settings import SettingsError, load_settings
from tests.services.checks_project import NOWHERE

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com"}
HEADERS = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Basic%20abc"}
SENTRY = {"SENTRY_DSN": "https://9f86d081884c7d65@o0.ingest.example.com/42"}


async def found(folder: Path, variables: dict[str, str]) -> list[str]:
    context = CheckContext.read(folder, environ=PRODUCTION | variables, env_file=NOWHERE)
    each = [checks.library_missing, checks.incomplete, checks.unprotected, checks.share_unused]
    each.append(sentry_checks.library_missing)
    return [finding.id.removeprefix("fastopp.") for check in each for finding in await check.run(context)]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        (COLLECTOR | HEADERS | SENTRY, []),
        (COLLECTOR | {"MONITOR": "false"}, ["W772"]),
        (HEADERS | {"OTEL_SERVICE_NAME": "shop"}, ["W772", "W772"]),
        (HEADERS | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com"}, ["W773"]),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example.com"}, []),
        (COLLECTOR | {"OTEL_TRACES_SAMPLER_ARG": "0.1"}, ["W774"]),
        (COLLECTOR | {"OTEL_TRACES_SAMPLER_ARG": "0.1", "OTEL_TRACES_SAMPLER": "TraceIdRatio"}, []),
    ],
)
async def test_settings_fit_together(variables, expected, tmp_path):
    assert await found(tmp_path, variables) == expected


async def test_a_missing_library_is_reported_and_stops_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(library, "LIBRARIES", ("no_such_package.sdk",))
    monkeypatch.setattr(sentry_library, "NAME", "no_such_package")
    assert await found(tmp_path, COLLECTOR | SENTRY) == ["E771", "E776"]
    settings = load_settings(COLLECTOR | SENTRY)
    assert create_tracing(settings, SYSTEM_CLOCK) is None
    assert error_sink.create_sink(SimpleNamespace(settings=settings)) is None
    assert "install `fastopp[otlp]`" in caplog.text
    assert "install `fastopp[sentry]`" in caplog.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:password-of-it@collector.test"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "password-of-it"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=password-of-it%0A"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("SENTRY_DSN", "https://password-of-it.ingest.sentry.io/42"),
    ],
)
def test_a_mistake_is_named_without_its_value(name, value):
    with pytest.raises(SettingsError) as raised:
        load_settings({name: value})
    assert str(raised.value).count("\n") == 1
    assert f"\n  {name}: " in str(raised.value)
    assert "password-of-it" not in str(raised.value)


def test_headers_are_secrets():
    settings = load_settings(HEADERS | SENTRY)
    assert settings.otlp_headers == {"Authorization": "Basic abc"}
    assert {"Basic abc", SENTRY["SENTRY_DSN"]} <= {*settings.secrets()}
    assert "abc" not in repr(settings)
