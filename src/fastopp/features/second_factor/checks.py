"""Checks of the second factor."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.accounts.settings import AccountSettings


@check(
    "fastopp.W132",
    "A second factor is required, and its changes are not reported",
    fix="Set MAIL_URL and MAIL_FROM.",
    subject=Subject.ACCOUNTS,
)
def owners_not_told(context: CheckContext) -> Iterator[Problem]:
    """The owner of an account gets a mail when a second factor is added, removed or reset, if there is mail."""
    if context.settings.of(AccountSettings).require_second_factor and context.settings.mail is None:
        yield Problem("REQUIRE_SECOND_FACTOR is set, but MAIL_URL is not.")
