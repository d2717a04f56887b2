"""The sign-in token: a JSON Web Token (RFC 7519) that says who, never what they may do.

The claims `email`, `is_staff` and `is_superuser` are there for programs that read FastOpp's tokens; FastOpp itself
takes rights from the database alone. `fingerprint` ties a token to the password it was issued under, so that a
new password ends every token of the old one. `sid` names its session, a row that can be deleted to end it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import timedelta
from typing import NamedTuple

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.features.accounts.models import User
from fastopp.settings import Settings

ALGORITHM = "HS256"
FINGERPRINT_BYTES = 12  # 96 bits of an HMAC: another hash with the same cannot be found


class Claims(NamedTuple):
    """The claims of a genuine token: its account, the password under which it was issued, and its session."""

    user_id: uuid.UUID
    fingerprint: str
    session_id: uuid.UUID | None = None
    """None in tokens that earlier releases issued, which had no sessions."""

    def fits(self, user: User, settings: Settings) -> bool:
        """Whether the token was issued to this user under their present password; not whether its session goes on."""
        return self.user_id == user.id and fingerprint_fits(self.fingerprint, user.hashed_password, settings)


def token_lifetime(settings: Settings) -> timedelta:
    """Return the lifetime of a token; its cookie lives as long."""
    return timedelta(minutes=settings.access_token_expire_minutes)


def issue_token(user: User, settings: Settings, session_id: uuid.UUID, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """A signed token for a session of `user`, good for ACCESS_TOKEN_EXPIRE_MINUTES from now on."""
    import jwt  # noqa: PLC0415 - 80 ms that a request without a token does not need

    issued = clock.now()
    claims = {
        "sub": str(user.id),
        "email": user.email,
        "is_staff": user.is_staff,
        "is_superuser": user.is_superuser,
        "fingerprint": password_fingerprint(user.hashed_password, settings),
        "sid": str(session_id),
        "iat": issued,
        "exp": issued + token_lifetime(settings),
    }
    return jwt.encode(claims, settings.secret_key.get_secret_value(), algorithm=ALGORITHM)


def read_token(token: str, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Claims | None:
    """The claims of a genuine token that has not expired; None for anything else."""
    if token.count(".") != 2:
        return None
    import jwt  # noqa: PLC0415 - as above

    for key in settings.secret_keys:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                # Clocks of instances differ: a token from a second ahead is genuine all the same. The end is checked
                # below.
                options={"require": ["sub", "exp", "fingerprint"], "verify_iat": False, "verify_exp": False},
            )
            break
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidTokenError:
            return None
    else:
        return None
    try:
        if int(claims["exp"]) <= clock.time():
            return None
        session_id = uuid.UUID(claims["sid"]) if "sid" in claims else None
        return Claims(uuid.UUID(claims["sub"]), str(claims["fingerprint"]), session_id)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return None


def password_fingerprint(hashed_password: str, settings: Settings) -> str:
    """A text that changes with the stored hash and reveals nothing about it."""
    return _fingerprint(hashed_password, settings.secret_keys[0])


def fingerprint_fits(fingerprint: str, hashed_password: str, settings: Settings) -> bool:
    """Return whether a fingerprint is one of this stored hash, under a key that is accepted."""
    given = fingerprint.encode(errors="surrogatepass")
    known = [_fingerprint(hashed_password, key).encode() for key in settings.secret_keys]
    return any(hmac.compare_digest(given, each) for each in known)


def _fingerprint(hashed_password: str, key: str) -> str:
    digest = hmac.digest(key.encode(), b"fastopp password fingerprint\0" + hashed_password.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:FINGERPRINT_BYTES]).decode()
