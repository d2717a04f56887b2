"""The parts of OAuth that all providers share, through authlib: where the browser goes, and the code's exchange."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fastopp.features.providers.calls import call, failed
from fastopp.features.providers.errors import AnswerRefused, ProviderUnusable
from fastopp.features.providers.pending import Started
from fastopp.features.providers.provider import Provider

SECRETS_IN_BODY = "client_secret_post"
SECRETS_IN_HEADER = "client_secret_basic"
MAX_TOKEN = 20_000  # characters of a token
# Reasons of a refusal that are logged: the standard's (RFC 6749, 5.2), and GitHub's own.
KNOWN_REASONS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "incorrect_client_credentials",
        "redirect_uri_mismatch",
        "bad_verification_code",
    }
)


class LibraryMissing(ProviderUnusable):
    """Signing in with a provider needs a library that is not installed."""

    hint = "Install the extra: pip install 'fastopp[providers]'."


def authorization_address(
    provider: Provider, endpoint: str, started: Started, redirect_uri: str, *, scope: str, nonce: bool
) -> str:
    """Return the address at the provider that the browser goes to. Raises LibraryMissing."""
    try:
        from authlib.oauth2 import OAuth2Client  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types; an extra
    except ImportError as error:
        raise LibraryMissing from error
    client = OAuth2Client(None, client_id=provider.client_id, redirect_uri=redirect_uri, code_challenge_method="S256")
    more = {"nonce": started.nonce} if nonce else {}
    address, _ = client.create_authorization_url(
        endpoint, state=started.state, code_verifier=started.verifier, scope=scope, **more
    )
    return str(address)


async def exchange(
    provider: Provider, endpoint: str, started: Started, code: str, redirect_uri: str, *, method: str
) -> dict[str, Any]:
    """Return the tokens that a code is good for, once. Raises ProviderFailed, AnswerRefused, LibraryMissing."""
    try:
        from authlib.oauth2 import ClientAuth  # noqa: PLC0415 - as above
    except ImportError as error:
        raise LibraryMissing from error
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": started.verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    auth = ClientAuth(provider.client_id, provider.client_secret, method)
    _, headers, body = auth.prepare("POST", endpoint, headers, urlencode(form))
    answer = await call(provider, "POST", endpoint, headers=headers, body=body, refused=True)
    if not isinstance(answer, dict):
        raise failed(provider, "the tokens are not an object")
    if "error" in answer:
        reason = answer["error"]  # GitHub says so with status 200
        known = reason if isinstance(reason, str) and reason in KNOWN_REASONS else "no known reason"
        failed(provider, f"the code was refused: {known}")
        raise AnswerRefused
    token = answer.get("access_token")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or len(token) > MAX_TOKEN:
        raise failed(provider, "there is no access token")
    return answer
