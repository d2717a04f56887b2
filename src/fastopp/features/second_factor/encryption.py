"""Encrypt secrets of second factors with AES-256-GCM, under a key that is derived from SECRET_KEY.

After a new SECRET_KEY they can be read as long as SECRET_KEY_PREVIOUS is the one before; `renewal.py` encrypts them
again. Otherwise recovery codes, which are stored as digests, still work.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from fastopp.errors import Conflict
from fastopp.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PURPOSE = b"fastopp second factor secrets v1"
NONCE_BYTES = 12  # as AES-GCM takes them


class SecretUnreadable(Conflict):
    """The secret of this second factor cannot be read: SECRET_KEY was changed."""

    hint = "Use a recovery code, or ask a superuser to reset the second factor."


def encrypt(secret: bytes, user_id: uuid.UUID, settings: Settings) -> str:
    """Return the secret of an account, encrypted. It can be decrypted for this account only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = _cipher(settings.secret_keys[0]).encrypt(nonce, secret, user_id.bytes)
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def renew(text: str, user_id: uuid.UUID, settings: Settings) -> str | None:
    """Return an encrypted secret, encrypted under SECRET_KEY; None if it is already. Raises SecretUnreadable."""
    secret, key = _open(text, user_id, settings)
    return None if key == settings.secret_keys[0] else encrypt(secret, user_id, settings)


def decrypt(text: str, user_id: uuid.UUID, settings: Settings) -> bytes:
    """Return the secret of an account. Raises SecretUnreadable."""
    return _open(text, user_id, settings)[0]


def _open(text: str, user_id: uuid.UUID, settings: Settings) -> tuple[bytes, str]:
    """Return a secret and the key under which it is encrypted."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - 20 ms that few processes need

    try:
        raw = base64.urlsafe_b64decode(text)
    except ValueError as error:
        raise SecretUnreadable from error
    for key in settings.secret_keys:
        with suppress(InvalidTag, ValueError):
            return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], user_id.bytes), key
    raise SecretUnreadable


def _cipher(key: str) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - as above

    return AESGCM(hmac.digest(key.encode(), PURPOSE, hashlib.sha256))
