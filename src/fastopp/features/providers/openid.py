"""OpenID Connect: discovery, keys, and the verification of an ID token, with joserfc and authlib's claims."""

from __future__ import annotations

from typing import Any, Final

from fastopp.core.runtime import Runtime
from fastopp.features.providers.calls import call, failed
from fastopp.features.providers.errors import AnswerRefused
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.oauth import (
    SECRETS_IN_BODY,
    SECRETS_IN_HEADER,
    LibraryMissing,
    authorization_address,
    exchange,
)
from fastopp.features.providers.pending import Started
from fastopp.features.providers.provider import Provider, is_protected

SCOPE: Final = "openid email profile"
KEPT: Final = 60 * 60  # seconds that a discovery document and keys are kept
LEEWAY: Final = 60  # seconds that the clocks of both sides may differ
# Only signatures by a key of the provider's alone: neither `none` nor HMAC, whose key might be a public one.
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


async def discover(provider: Provider) -> dict[str, Any]:
    """Return the discovery document. Raises ProviderFailed, also when it is of another issuer."""
    found = await call(provider, "GET", f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration")
    if not isinstance(found, dict) or found.get("issuer") != provider.issuer:
        raise failed(provider, "the discovery document is of another issuer")
    for name in ENDPOINTS:
        if not isinstance(found.get(name), str) or not is_protected(found[name]):
            raise failed(provider, f"the discovery document has no usable {name}")
    return found


async def address(runtime: Runtime, provider: Provider, started: Started, redirect_uri: str) -> str:
    """Return where the browser goes."""
    document = await _document(runtime, provider)
    endpoint = document["authorization_endpoint"]
    return authorization_address(provider, endpoint, started, redirect_uri, scope=SCOPE, nonce=True)


async def identify(
    runtime: Runtime, provider: Provider, started: Started, code: str, redirect_uri: str, answering_issuer: str | None
) -> Identity:
    """Return the identity behind a code. Raises ProviderFailed, AnswerRefused.

    Parameters
    ----------
    answering_issuer: the issuer that the callback names, which distinguishes providers (RFC 9207).
    """
    document = await _document(runtime, provider)
    names_itself = document.get("authorization_response_iss_parameter_supported") is True
    if answering_issuer != provider.issuer and (names_itself or answering_issuer is not None):
        raise _refused(provider, "the callback names another issuer")
    methods = document.get("token_endpoint_auth_methods_supported")
    in_body = isinstance(methods, list) and SECRETS_IN_HEADER not in methods and SECRETS_IN_BODY in methods
    method = SECRETS_IN_BODY if in_body else SECRETS_IN_HEADER
    tokens = await exchange(provider, document["token_endpoint"], started, code, redirect_uri, method=method)
    claims = await _verified_claims(runtime, provider, document, started, tokens)
    if "email" not in claims and (more := await _user_info(provider, document, tokens["access_token"])):
        if more.get("sub") != claims["sub"]:
            raise _refused(provider, "the user information is of another user")
        claims = more | claims
    identity = Identity.of(
        provider.key, claims["sub"], claims.get("email"), claims.get("name"), verified=claims.get("email_verified")
    )
    if identity is None:
        raise _refused(provider, "the subject is invalid")
    return identity


async def _verified_claims(
    runtime: Runtime, provider: Provider, document: dict[str, Any], started: Started, tokens: dict[str, Any]
) -> dict[str, Any]:
    """Return the claims of the ID token: of this provider, for this site and this sign-in, and of now."""
    try:
        from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types; an extra
        from joserfc.errors import InvalidKeyIdError, JoseError  # noqa: PLC0415 - as above
    except ImportError as error:
        raise LibraryMissing from error
    text = tokens.get("id_token")
    if not isinstance(text, str):
        raise _refused(provider, "there is no ID token")
    algorithms = _algorithms(document)
    keys, kept = await _keys(runtime, provider, document)
    try:
        try:
            token = _decode(text, keys, algorithms)
        except InvalidKeyIdError:
            if not kept:
                raise
            # The provider may have changed its keys since they were read.
            keys, _ = await _keys(runtime, provider, document, again=True)
            token = _decode(text, keys, algorithms)
        options = {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
        }
        expected = {
            "nonce": started.nonce,
            "client_id": provider.client_id,
            "access_token": tokens["access_token"],
        }
        claims = CodeIDToken(token.claims, token.header, options, expected)
        claims.validate(now=int(runtime.clock.time()), leeway=LEEWAY)
    except (JoseError, ValueError, TypeError, KeyError) as error:  # the last ones: of claims of a wrong type
        raise _refused(provider, f"the ID token is invalid: {type(error).__name__}") from None
    return dict(claims)


def _algorithms(document: dict[str, Any]) -> list[str]:
    offered = document.get("id_token_signing_alg_values_supported")
    if not isinstance(offered, list):
        return ["RS256"]  # which every provider has
    return sorted(ALGORITHMS & {each for each in offered if isinstance(each, str)})


def _decode(text: str, keys: object, algorithms: list[str]) -> Any:  # noqa: ANN401 - joserfc's Token
    from joserfc import jwt  # noqa: PLC0415 - an extra
    from joserfc.jwk import KeySet  # noqa: PLC0415 - as above
    from joserfc.jws import JWSRegistry  # noqa: PLC0415 - as above

    # Headers that say more than needed are fine.
    registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
    return jwt.decode(text, KeySet.import_key_set(keys), registry=registry)  # type: ignore[arg-type] # checked by it


async def _document(runtime: Runtime, provider: Provider) -> dict[str, Any]:
    kept = runtime.cache.get("openid document", provider.issuer)
    if isinstance(kept, dict):
        return kept
    found = await discover(provider)
    runtime.cache.keep("openid document", provider.issuer, value=found, lifetime=KEPT)
    return found


async def _keys(
    runtime: Runtime, provider: Provider, document: dict[str, Any], *, again: bool = False
) -> tuple[object, bool]:
    """Return the keys of a provider, and whether they were kept from before."""
    kept = None if again else runtime.cache.get("openid keys", provider.issuer)
    if kept is not None:
        return kept, True
    found = await call(provider, "GET", document["jwks_uri"])
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise failed(provider, "there are no keys")
    runtime.cache.keep("openid keys", provider.issuer, value=found, lifetime=KEPT)
    return found, False


async def _user_info(provider: Provider, document: dict[str, Any], token: str) -> dict[str, Any]:
    endpoint = document.get("userinfo_endpoint")
    if not isinstance(endpoint, str):
        return {}
    found = await call(provider, "GET", endpoint, headers={"Authorization": f"Bearer {token}"})
    return found if isinstance(found, dict) else {}


def _refused(provider: Provider, reason: str) -> AnswerRefused:
    failed(provider, reason)
    return AnswerRefused()
