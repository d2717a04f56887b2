"""The destinations of messages: webhooks, and mail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

from fastopp.features.alerts.names import MAIL
from fastopp.settings import Settings
from fastopp.settings.alerting import Webhook


class Destination(NamedTuple):
    """One destination."""

    id: str
    """For the arguments of tasks, which anyone who sees tasks can read."""
    webhook: Webhook | None
    """None for mail."""
    label: str


def destinations_of(settings: Settings) -> Iterator[Destination]:
    """Yield the destinations that the settings name."""
    for webhook in settings.webhooks:
        # Not an index: another list of a later deployment must not lead a message elsewhere.
        name = hashlib.sha256(webhook.url.encode()).hexdigest()[:16]
        yield Destination(name, webhook, f"{webhook.format} webhook at {webhook.host}")
    if settings.alert_addresses and settings.mail is not None:
        count = len(settings.alert_addresses)
        yield Destination(MAIL, None, "mail to an address" if count == 1 else f"mail to {count} addresses")
