"""Checks of alerts, from the settings and the source alone."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext


@check(
    "fastopp.W711",
    "Messages about alerts are not signed",
    fix="Set ALERT_WEBHOOK_SECRET, and verify the signature where the messages arrive.",
    subject=Subject.SETTINGS,
)
def unsigned(context: CheckContext) -> Iterator[Problem]:
    """Anyone who knows the address can send such a message."""
    settings = context.settings
    generic = [webhook for webhook in settings.webhooks if webhook.format == "generic"]
    if generic and not settings.alert_webhook_secret.get_secret_value():
        yield Problem(f"ALERT_WEBHOOKS has {generic[0].host}, but ALERT_WEBHOOK_SECRET is not set.")


@check(
    "fastopp.W712",
    "Mails about alerts are not sent",
    fix="Set MAIL_URL and MAIL_FROM.",
    subject=Subject.MAIL,
)
def no_mail(context: CheckContext) -> Iterator[Problem]:
    """ALERT_MAIL has no effect."""
    if context.settings.alert_addresses and context.settings.mail is None:
        yield Problem("ALERT_MAIL is set, but MAIL_URL is not.")
