"""A link on the page of the account."""

from __future__ import annotations

from fastopp.features.account.sections import AccountLink
from fastopp.settings import Settings


def account_links(settings: Settings) -> list[AccountLink]:
    return [AccountLink("Your orders", "What you bought.", "/orders")]
