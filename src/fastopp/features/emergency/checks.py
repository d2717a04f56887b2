"""A check that emergency access is not left enabled."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext


@check(
    "fastopp.W004",
    "Emergency access is enabled",
    fix="Remove EMERGENCY_ACCESS_ENABLED when it is no longer needed.",
    subject=Subject.SETTINGS,
)
def emergency_access(context: CheckContext) -> Iterator[Problem]:
    """The holder of the emergency token can create superusers. Enable it for a few minutes only."""
    if context.settings.emergency_access_enabled and not context.settings.development:
        yield Problem("EMERGENCY_ACCESS_ENABLED is true.")
