"""The button on the sign-in page."""

from __future__ import annotations

from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in_page import SignInOption
from fastopp.settings import Settings


def sign_in_options(settings: Settings) -> list[SignInOption]:
    """Return the button, if PASSKEYS is true."""
    if not settings.of(AccountSettings).passkeys:
        return []
    return [SignInOption(kind="button", template="passkeys/sign_in_button.html")]
