"""The options on the sign-in page beside the password: "Forgot your password?", "Sign in with GitHub" and the like.

A feature or an app offers it in its module `sign_in_options.py`:

    def sign_in_options(settings: Settings) -> list[SignInOption]:
        if settings.of(ShopSettings).shop_members == "closed":
            return []
        return [SignInOption("Become a member", "/members/new")]

It is imported when the page is shown, and must ask neither the database nor the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from fastopp.core.apps import App
from fastopp.core.features import features_with
from fastopp.settings import Settings

PART = "sign_in_options"


class SignInOption(NamedTuple):
    """A link or a button on the sign-in page."""

    label: str = ""
    """Translated by the page."""
    href: str = ""
    """A page of the site that answers GET. It gets the page to return to as the parameter `next`."""
    kind: Literal["link", "button"] = "link"
    """A button is another way of signing in; links are below all of them."""
    icon: str = "sign-in"
    """Of a button: a name from `icons.html`."""
    template: str = ""
    """Instead of label and address: a template, which may use `next`; for a form or a script."""

    def address(self, next_page: str) -> str:
        """Return the address, with the page to return to."""
        return f"{self.href}?{urlencode({'next': next_page})}" if next_page else self.href


def find_sign_in_options(apps: Iterable[App], settings: Settings) -> dict[str, list[SignInOption]]:
    """Return the options by kind, of the features in the order of their names, and then of the project's apps."""
    found: dict[str, list[SignInOption]] = {"button": [], "link": []}
    for app in (*features_with(PART), *apps):
        module = app.part(PART, "sign_in_options")
        for option in module.sign_in_options(settings) if module else ():
            found[option.kind].append(option)
    return found
