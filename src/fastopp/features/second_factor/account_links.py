"""The link on the page /account."""

from __future__ import annotations

from fastopp.features.account.sections import AccountLink
from fastopp.settings import Settings

PAGE = "/account/second-factor"


def account_links(settings: Settings) -> list[AccountLink]:
    """Return the link."""
    return [AccountLink("Second factor", "A code of your phone, asked for after the password.", PAGE)]
