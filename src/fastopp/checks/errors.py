"""Errors that keep a check from running."""

from __future__ import annotations

from fastopp.errors import FastOppError


class CannotCheck(FastOppError):
    """This check cannot run here."""
