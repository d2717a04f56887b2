"""A check that reads the discovery documents of providers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.features.providers.errors import ProviderFailed
from fastopp.features.providers.openid import discover
from fastopp.features.providers.provider import find_providers


@check(
    "fastopp.E760",
    "A provider cannot be used",
    fix="Compare OIDC_ISSUER with `issuer` in the provider's /.well-known/openid-configuration: they must be equal.",
    subject=Subject.ACCOUNTS,
    mode=Mode.LIVE,
)
async def unusable(context: CheckContext) -> AsyncIterator[Problem]:
    """This reads the discovery document. It tries no secret: providers accept one with the code of a user only."""
    providers = [each for each in find_providers(context.settings) if each.name != "github"]
    if not providers:
        raise CannotCheck("No OpenID Connect provider is set up.")
    for each in providers:
        try:
            await discover(each)
        except ProviderFailed as error:
            yield Problem(f"{each.title} ({each.issuer}): {error.reason}.")
