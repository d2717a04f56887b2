"""Sign-ins that were started, and identities to be confirmed: kept by the browser, signed."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastapi import Request, Response

from fastopp.features.providers.errors import IdentityExpired, SignInExpired
from fastopp.features.providers.identity import Identity
from fastopp.settings import Settings
from fastopp.web.cookies import delete_cookie, read_cookie, set_cookie

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

KEY = "provider_sign_ins"  # in the browser's session
COOKIE = "identity"  # apart from the session, which signing in empties
LIFETIME = 10 * 60  # seconds from the start of a sign-in to its callback
IDENTITY_LIFETIME = 30 * 60  # seconds, within which a password is entered or a mail is opened
MOST = 3  # sign-ins that one browser has started, in several tabs; the oldest ends
MAX_NEXT = 200  # characters of an address to return to; a cookie holds 4 KB
MAX_COOKIE = 2000
_SECRET_BYTES = 24

Purpose = Literal["sign in", "link"]


class Started(NamedTuple):
    """A sign-in that was started in this browser."""

    provider: str
    state: str
    nonce: str
    verifier: str
    purpose: Purpose
    user: str
    """The account that the identity is to be linked to."""
    next_page: str
    at: float


def start(
    request: Request, provider: str, purpose: Purpose, moment: float, *, user: str = "", next_page: str = ""
) -> Started:
    """Keep a new sign-in in the browser's session."""
    state, nonce = secrets.token_urlsafe(_SECRET_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    verifier = secrets.token_urlsafe(32)  # 43 characters, the least that PKCE allows (RFC 7636, 4.1)
    kept = next_page if len(next_page) <= MAX_NEXT else ""
    started = Started(provider, state, nonce, verifier, purpose, user, kept, moment)
    request.session[KEY] = [*map(list, _read(request, moment)[1 - MOST :]), list(started)]
    return started


def take(request: Request, provider: str, state: str, moment: float) -> Started:
    """Return the sign-in of a callback, and end it. Raises SignInExpired.

    A state that was given to one provider is refused from another (mix-up attacks, RFC 9700, 4.4).
    """
    known = _read(request, moment)
    given = state.encode("utf-8", "replace")
    found = next((each for each in known if hmac.compare_digest(each.state.encode(), given)), None)
    left = [list(each) for each in known if each is not found]
    if left:
        request.session[KEY] = left
    else:
        request.session.pop(KEY, None)
    if found is None or found.provider != provider:
        raise SignInExpired
    return found


def keep_identity(request: Request, response: Response, settings: Settings, identity: Identity, moment: float) -> None:
    """Have the browser keep an identity that is to be linked once its account is proven."""
    values = [identity.provider, identity.subject, identity.email, identity.email_verified, identity.name, moment]
    set_cookie(request, response, COOKIE, str(_serializer(settings).dumps(values)), max_age=IDENTITY_LIFETIME)


def read_identity(request: Request, settings: Settings, moment: float) -> Identity:
    """Return the identity that this browser has shown. Raises IdentityExpired."""
    from itsdangerous import BadData  # noqa: PLC0415 - as below

    value = read_cookie(request, COOKIE)
    if value is None or len(value) > MAX_COOKIE:
        raise IdentityExpired
    try:
        *parts, at = _serializer(settings).loads(value)
        identity = Identity(*parts)
    except (BadData, ValueError, TypeError):
        raise IdentityExpired from None
    if not 0 <= moment - at < IDENTITY_LIFETIME:
        raise IdentityExpired
    return identity


def forget_identity(request: Request, response: Response) -> None:
    """Have the browser forget it."""
    delete_cookie(request, response, COOKIE)


def _read(request: Request, moment: float) -> list[Started]:
    kept: Mapping[str, Any] = request.session
    known = [Started(*each) for each in kept.get(KEY, ())]
    return [each for each in known if 0 <= moment - each.at < LIFETIME]


def _serializer(settings: Settings) -> URLSafeSerializer:
    from itsdangerous import URLSafeSerializer  # noqa: PLC0415 - only these pages need it

    return URLSafeSerializer(
        settings.signing_keys,
        salt="fastopp identity cookie v1",
        signer_kwargs={"digest_method": hashlib.sha256},
    )
