"""The link for those who forgot their password, where there is mail."""

from __future__ import annotations

from fastopp.features.accounts.sign_in_page import SignInOption
from fastopp.settings import Settings


def sign_in_options(settings: Settings) -> list[SignInOption]:
    """Offer to set another password."""
    if settings.mail is None:
        return []
    return [SignInOption(href="/forgot-password", template="accounts/sign_in_options/password_reset.html")]
