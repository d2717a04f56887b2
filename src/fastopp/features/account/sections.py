"""Links on the page /account, which features and apps add: "Two-factor authentication", "Connected accounts".

A feature or an app has them in a module `account_links.py`:

    def account_links(settings: Settings) -> list[AccountLink]:
        return [AccountLink("Your orders", "Look at what you bought.", "/orders")]

It is imported when the page is shown, and must ask neither the database nor the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fastopp.core.apps import App
from fastopp.core.features import features_with
from fastopp.settings import Settings

PART = "account_links"


class AccountLink(NamedTuple):
    """A link on the page /account. Its texts are translated by the page."""

    title: str
    text: str
    href: str
    icon: str = "shield"
    """A name from `icons.html`."""


def find_account_links(apps: Iterable[App], settings: Settings) -> list[AccountLink]:
    """Return the links of the features in the order of their names, and then of the project's apps."""
    links: list[AccountLink] = []
    for app in (*features_with(PART), *apps):
        if (module := app.part(PART, PART)) is not None:
            links += module.account_links(settings)
    return links
