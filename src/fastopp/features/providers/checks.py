"""Checks of sign-in with providers, from the settings alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.providers.provider import LIBRARIES, find_providers, is_protected
from fastopp.features.providers.settings import ProviderSettings

TOGETHER = (
    ("github_client_id", "github_client_secret"),
    ("google_client_id", "google_client_secret"),
    ("oidc_issuer", "oidc_client_id", "oidc_client_secret"),
)
"""Settings that work only if all of a line are set."""


@check(
    "fastopp.E751",
    "A provider is set up in part",
    fix="Set the others too, as the provider shows them, or remove it.",
    subject=Subject.ACCOUNTS,
)
def incomplete(context: CheckContext) -> Iterator[Problem]:
    """The sign-in page does not offer this provider."""
    own = context.settings.of(ProviderSettings)
    values = {name: getattr(own, name) for names in TOGETHER for name in names}
    given = {name for name, value in values.items() if (value if isinstance(value, str) else value.get_secret_value())}
    for names in TOGETHER:
        there = [name for name in names if name in given]
        if there and len(there) < len(names):
            missing = " and ".join(name.upper() for name in names if name not in given)
            yield Problem(f"{there[0].upper()} is set, but {missing} is not.")


@check(
    "fastopp.E752",
    "The libraries for providers are not installed",
    fix="Install the extra: add `fastopp[providers]` to the requirements.",
    subject=Subject.ACCOUNTS,
)
def library_missing(context: CheckContext) -> Iterator[Problem]:
    """Signing in with a provider answers 503."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing and find_providers(context.settings):
        yield Problem(f"A provider is set up, but {' and '.join(missing)} cannot be imported.")


@check(
    "fastopp.E753",
    "The URL of the site is unknown to providers",
    fix="Set SITE_URL to the address that visitors type, like https://shop.example.com.",
    subject=Subject.ACCOUNTS,
)
def no_site(context: CheckContext) -> Iterator[Problem]:
    """Providers redirect to a registered address only, and the host name of a request is never used for it."""
    if find_providers(context.settings) and not context.settings.site:
        yield Problem("A provider is set up, but SITE_URL is not.")


@check(
    "fastopp.E754",
    "A provider is not reached by https",
    fix="Use its https:// address.",
    subject=Subject.ACCOUNTS,
)
def unprotected(context: CheckContext) -> Iterator[Problem]:
    """A third party that reads the traffic could sign in to any account. Signing in with the provider answers 502."""
    own = context.settings.of(ProviderSettings)
    for name in ("github_url", "oidc_issuer"):
        address = getattr(own, name)
        if address and not is_protected(address):
            yield Problem(f"{name.upper()} is not an https:// address.")
