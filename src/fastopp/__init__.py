"""FastOpp: a Django-like stack on FastAPI that runs unchanged locally, on Fly.io and on LeapCell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastopp import _moved

if TYPE_CHECKING:
    from fastopp.core.application import FastOpp

__version__ = "0.5.0"

__all__ = ["FastOpp", "__version__"]

_moved.install()


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes
    """Import the application when it is asked for: whoever needs a part of the package does not pay for all."""
    if name == "FastOpp":
        from fastopp.core.application import FastOpp  # noqa: PLC0415 - see above

        return FastOpp
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
