"""The link to the sign-up page, where it is open."""

from __future__ import annotations

from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in_page import SignInOption
from fastopp.settings import Settings


def sign_in_options(settings: Settings) -> list[SignInOption]:
    """Offer to create an account."""
    if settings.of(AccountSettings).sign_up != "open":
        return []
    return [SignInOption(href="/sign-up", template="accounts/sign_in_options/sign_up.html")]
