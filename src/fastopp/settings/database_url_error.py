"""The error of a database URL."""

from __future__ import annotations

from fastopp.errors import FastOppError


class DatabaseURLError(FastOppError):
    """The database URL cannot be used."""
