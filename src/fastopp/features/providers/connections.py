"""The way to a provider and back: the address that a browser goes to, and the identity behind its code."""

from __future__ import annotations

from fastopp.core.runtime import Runtime
from fastopp.features.providers import github, openid
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.pending import Started
from fastopp.features.providers.provider import Provider, callback_address


async def address_at(runtime: Runtime, provider: Provider, started: Started) -> str:
    """Return the address at the provider that the browser goes to. Raises ProviderFailed."""
    redirect_uri = callback_address(runtime.settings, provider)
    if provider.name == "github":
        return github.address(provider, started, redirect_uri)
    return await openid.address(runtime, provider, started, redirect_uri)


async def identify(
    runtime: Runtime, provider: Provider, started: Started, code: str, answering_issuer: str | None
) -> Identity:
    """Return the identity that a provider confirms. Raises ProviderFailed, AnswerRefused."""
    redirect_uri = callback_address(runtime.settings, provider)
    if provider.name == "github":
        return await github.identify(provider, started, code, redirect_uri)
    return await openid.identify(runtime, provider, started, code, redirect_uri, answering_issuer)
