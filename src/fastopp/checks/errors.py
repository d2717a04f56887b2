"""What can keep a check from looking."""

from __future__ import annotations

from fastopp.errors import FastOppError


class CannotCheck(FastOppError):
    """This check cannot run here."""
