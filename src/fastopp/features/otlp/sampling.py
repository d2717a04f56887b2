"""The sampler that the settings name, as OpenTelemetry defines their values.

https://opentelemetry.io/docs/languages/sdk-configuration/general/#otel_traces_sampler
"""

from __future__ import annotations

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

from fastopp.settings import Settings

PARENT_BASED = "parentbased_"


def sampler_of(settings: Settings) -> Sampler:
    """Return the sampler."""
    name = settings.otel_traces_sampler
    roots: dict[str, Sampler] = {
        "always_on": ALWAYS_ON,
        "always_off": ALWAYS_OFF,
        "traceidratio": TraceIdRatioBased(settings.otel_traces_sampler_arg),
    }
    root = roots[name.removeprefix(PARENT_BASED)]
    return ParentBased(root) if name.startswith(PARENT_BASED) else root
