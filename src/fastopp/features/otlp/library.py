"""The libraries of the extra `otlp`, which are imported only where a collector is set up."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

LIBRARIES: Final = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.common")


def is_installed() -> bool:
    """Return whether the libraries are there."""
    try:
        return all(find_spec(name) is not None for name in LIBRARIES)
    except ModuleNotFoundError:  # of a package above one
        return False
