"""Checks of passkeys."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.passkeys.library import is_installed
from fastopp.features.passkeys.relying_party import PasskeysNeedName, site_party


@check(
    "fastopp.E133",
    "Passkeys are enabled, but not installed",
    fix="Install `fastopp[passkeys]`, or remove PASSKEYS.",
    subject=Subject.ACCOUNTS,
)
def not_installed(context: CheckContext) -> Iterator[Problem]:
    """The button on the sign-in page answers 503."""
    if context.settings.of(AccountSettings).passkeys and not is_installed():
        yield Problem("PASSKEYS is true, but the package webauthn is missing.")


@check(
    "fastopp.E134",
    "Passkeys need the host name of the site",
    fix="Set SITE_URL to the address that visitors type, like https://shop.example.com.",
    subject=Subject.ACCOUNTS,
)
def no_host_name(context: CheckContext) -> Iterator[Problem]:
    """A passkey is bound to a host name, which is never taken from a request. An IP address is none."""
    settings = context.settings
    if not settings.of(AccountSettings).passkeys or settings.development:
        return
    try:
        site_party(settings)
    except PasskeysNeedName:
        yield Problem("PASSKEYS is true, but SITE_URL has no host name.")
