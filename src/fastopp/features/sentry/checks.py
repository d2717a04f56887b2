"""Checks of Sentry, from the settings alone."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.sentry.library import is_installed


@check(
    "fastopp.E776",
    "The library for Sentry is not installed",
    fix="Install the extra: add `fastopp[sentry]` to the requirements.",
    subject=Subject.SETTINGS,
)
def library_missing(context: CheckContext) -> Iterator[Problem]:
    """No errors are sent."""
    if context.settings.sentry_dsn.get_secret_value() and not is_installed():
        yield Problem("SENTRY_DSN is set, but the package sentry-sdk is missing.")
