"""Codes that change every thirty seconds (TOTP, RFC 6238), and recovery codes.

SHA-1, six digits and thirty seconds are what every app supports. RFC 6238 asks for SHA-1, whose weakness is no matter
in an HMAC.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.twofactor.hotp import HOTP

SECRET_BYTES = 20  # 160 bits, as RFC 4226, 4 recommends
DIGITS = 6
STEP = 30  # seconds
TOLERANCE = 1  # steps by which the phone's clock may be off
RECOVERY_CODES = 10
RECOVERY_BYTES = 10  # 80 bits, so that a plain SHA-256 protects them


def new_secret() -> bytes:
    """Return a secret for a phone."""
    return secrets.token_bytes(SECRET_BYTES)


def as_text(secret: bytes) -> str:
    """Return a secret as apps take it: base32."""
    return base64.b32encode(secret).decode()


def address_of(secret: bytes, account: str, site: str) -> str:
    """Return the address in the QR code (https://github.com/google/google-authenticator/wiki/Key-Uri-Format)."""
    label = quote(f"{site}:{account}", safe=":@")
    return f"otpauth://totp/{label}?" + urlencode({"secret": as_text(secret), "issuer": site}, quote_via=quote)


def code_at(secret: bytes, step: int) -> str:
    """Return the code of a time step."""
    return _hotp(secret).generate(step).decode()


def matching_step(secret: bytes, code: str, moment: float) -> int | None:
    """Return the time step whose code this is: the present one, the one before or the one after; or None."""
    present = int(moment // STEP)
    given = code.encode()
    found = None
    for step in range(max(0, present - TOLERANCE), present + TOLERANCE + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), given):
            found = step
    return found


def clean(text: str) -> str:
    """Return a code as it was meant: without spaces and hyphens, in upper case."""
    return "".join(text.split()).replace("-", "").upper()


def is_app_code(code: str) -> bool:
    """Return whether a cleaned text has the form of an app's code, and not that of a recovery code."""
    return len(code) == DIGITS and code.isascii() and code.isdigit()


def new_recovery_codes() -> list[str]:
    """Return ten new recovery codes, like `ABCD-EFGH-IJKL-MNOP`."""
    texts = (base64.b32encode(secrets.token_bytes(RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES))
    return ["-".join(text[start : start + 4] for start in range(0, len(text), 4)) for text in texts]


def digest_of(recovery_code: str) -> str:
    """Return a recovery code as it is stored."""
    return hashlib.sha256(clean(recovery_code).encode()).hexdigest()


def _hotp(secret: bytes) -> HOTP:
    from cryptography.hazmat.primitives.hashes import SHA1  # noqa: PLC0415 - 20 ms that few processes need
    from cryptography.hazmat.primitives.twofactor.hotp import HOTP  # noqa: PLC0415 - as above

    return HOTP(secret, DIGITS, SHA1())  # noqa: S303 - see above
