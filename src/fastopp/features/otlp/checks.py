"""Checks of the collector, from the settings alone."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.otlp.library import is_installed
from fastopp.settings import Settings


@check(
    "fastopp.E771",
    "The libraries for a collector are not installed",
    fix="Install the extra: add `fastopp[otlp]` to the requirements.",
    subject=Subject.SETTINGS,
)
def library_missing(context: CheckContext) -> Iterator[Problem]:
    """No traces and no figures are sent."""
    if context.settings.otel_exporter_otlp_endpoint and not is_installed():
        yield Problem("OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's SDK cannot be imported.")


@check(
    "fastopp.W772",
    "The collector is set up in part",
    fix="Set OTEL_EXPORTER_OTLP_ENDPOINT and leave MONITOR on, or remove the other variables.",
    subject=Subject.SETTINGS,
)
def incomplete(context: CheckContext) -> Iterator[Problem]:
    """No traces and no figures are sent: the monitor measures them, and the collector's address is needed."""
    settings = context.settings
    if settings.otel_exporter_otlp_endpoint:
        if not settings.monitor:
            yield Problem("OTEL_EXPORTER_OTLP_ENDPOINT is set, but MONITOR is false.")
        return
    for name in _others(settings):
        yield Problem(f"{name} is set, but OTEL_EXPORTER_OTLP_ENDPOINT is not.")


@check(
    "fastopp.W773",
    "Headers of the collector can be read on the way",
    fix="Use an https:// address.",
    subject=Subject.SETTINGS,
)
def unprotected(context: CheckContext) -> Iterator[Problem]:
    """A third party that reads the traffic could send data in the name of the site."""
    settings = context.settings
    address = settings.otel_exporter_otlp_endpoint
    if settings.otlp_headers and address.startswith("http://") and not settings.development:
        yield Problem("OTEL_EXPORTER_OTLP_HEADERS is set, and OTEL_EXPORTER_OTLP_ENDPOINT is an http:// address.")


@check(
    "fastopp.W774",
    "The share of traced requests is not used",
    fix="Set OTEL_TRACES_SAMPLER to parentbased_traceidratio, or remove OTEL_TRACES_SAMPLER_ARG.",
    subject=Subject.SETTINGS,
)
def share_unused(context: CheckContext) -> Iterator[Problem]:
    """Another sampler knows no share."""
    settings = context.settings
    if settings.otel_traces_sampler_arg != 1 and not settings.otel_traces_sampler.endswith("traceidratio"):
        yield Problem(f"OTEL_TRACES_SAMPLER_ARG is set, but the sampler is {settings.otel_traces_sampler}.")


def _others(settings: Settings) -> Iterator[str]:
    if settings.otel_exporter_otlp_headers.get_secret_value():
        yield "OTEL_EXPORTER_OTLP_HEADERS"
    if settings.otel_service_name:
        yield "OTEL_SERVICE_NAME"
