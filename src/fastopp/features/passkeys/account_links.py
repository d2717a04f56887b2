"""The link on the page /account."""

from __future__ import annotations

from fastopp.features.account.sections import AccountLink
from fastopp.features.accounts.settings import AccountSettings
from fastopp.settings import Settings

PAGE = "/account/passkeys"


def account_links(settings: Settings) -> list[AccountLink]:
    """Return the link, if PASSKEYS is true."""
    if not settings.of(AccountSettings).passkeys:
        return []
    return [AccountLink("Passkeys", "Sign in without a password.", PAGE, "key")]
