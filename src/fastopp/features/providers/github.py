"""GitHub, which has OAuth and an API in place of OpenID Connect."""

from __future__ import annotations

from typing import Any, Final

from fastopp.features.providers.calls import call, failed
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.oauth import SECRETS_IN_BODY, authorization_address, exchange
from fastopp.features.providers.pending import Started
from fastopp.features.providers.provider import GITHUB, Provider

API: Final = "https://api.github.com"
OWN_API: Final = "/api/v3"  # of GitHub Enterprise Server, below its address
SCOPE: Final = "read:user user:email"
VERSION: Final = "2022-11-28"  # of the API


def address(provider: Provider, started: Started, redirect_uri: str) -> str:
    """Return where the browser goes."""
    endpoint = f"{provider.issuer}/login/oauth/authorize"
    return authorization_address(provider, endpoint, started, redirect_uri, scope=SCOPE, nonce=False)


async def identify(provider: Provider, started: Started, code: str, redirect_uri: str) -> Identity:
    """Return the identity behind a code. Raises ProviderFailed, AnswerRefused."""
    endpoint = f"{provider.issuer}/login/oauth/access_token"
    tokens = await exchange(provider, endpoint, started, code, redirect_uri, method=SECRETS_IN_BODY)
    api = API if provider.issuer == GITHUB else provider.issuer + OWN_API
    user = await _get(provider, f"{api}/user", tokens["access_token"])
    if not isinstance(user, dict):
        raise failed(provider, "the user is not an object")
    email = _primary(await _get(provider, f"{api}/user/emails", tokens["access_token"]))
    name = user.get("name") or user.get("login")
    # The number stays when the account is renamed, and its name can then be taken by another user.
    identity = Identity.of(provider.key, user.get("id"), email.get("email"), name, verified=email.get("verified"))
    if identity is None:
        raise failed(provider, "the user has no id")
    return identity


async def _get(provider: Provider, endpoint: str, token: str) -> Any:  # noqa: ANN401 - JSON
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "User-Agent": "FastOpp",
        "X-GitHub-Api-Version": VERSION,
    }
    return await call(provider, "GET", endpoint, headers=headers)


def _primary(emails: object) -> dict[str, Any]:
    """Return the primary address. The one of the public profile may be any."""
    known = [each for each in emails if isinstance(each, dict)] if isinstance(emails, list) else []
    return next((each for each in known if each.get("primary") is True), {})
