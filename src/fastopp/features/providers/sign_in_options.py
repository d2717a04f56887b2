"""The providers on the sign-in page."""

from __future__ import annotations

from fastopp.features.accounts.sign_in_page import SignInOption
from fastopp.features.providers.provider import find_providers
from fastopp.settings import Settings

BUTTON = "providers/sign_in_button.html"


def sign_in_options(settings: Settings) -> list[SignInOption]:
    """Return a button for each provider."""
    return [
        SignInOption(each.title, f"/login/with/{each.name}", "button", template=BUTTON)
        for each in find_providers(settings)
    ]
