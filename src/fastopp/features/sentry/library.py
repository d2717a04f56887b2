"""The library of the extra `sentry`, which is imported with the first error, and only where SENTRY_DSN is set."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

NAME: Final = "sentry_sdk"


def is_installed() -> bool:
    """Return whether the library is there, without importing it."""
    return find_spec(NAME) is not None
