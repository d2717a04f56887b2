"""A check of the first superuser's password."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.settings.weak_secrets import PUBLISHED_PASSWORDS


@check(
    "fastopp.E009",
    "The first superuser's password is published",
    fix="Remove SUPERUSER_PASSWORD. A password is then generated and shown once.",
    subject=Subject.SETTINGS,
)
def superuser_password(context: CheckContext) -> Iterator[Problem]:
    """The docs contain the passwords of the demo accounts. Anyone who tries one could do everything."""
    settings = context.settings
    if not settings.development and settings.superuser_password.get_secret_value() in PUBLISHED_PASSWORDS:
        yield Problem("SUPERUSER_PASSWORD is published in the docs.")
