"""The link on the page /account."""

from __future__ import annotations

from fastopp.features.account.sections import AccountLink
from fastopp.features.providers.provider import find_providers
from fastopp.settings import Settings


def account_links(settings: Settings) -> list[AccountLink]:
    """Return a link if there are providers."""
    if not find_providers(settings):
        return []
    return [
        AccountLink(
            "Sign in with other sites",
            "The accounts elsewhere that open your account here.",
            "/account/providers",
            "key",
        )
    ]
