"""What a test sets."""

from __future__ import annotations


class State:
    """The probe's and the rule's outcome."""

    healthy = True
    stock: float | None = 100.0
    broken = False
