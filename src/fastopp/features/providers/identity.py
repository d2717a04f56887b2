"""The identity that a provider has confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MAX_SUBJECT = 255  # characters (OpenID Connect Core, 2)
MAX_EMAIL = 254
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Identity:
    """An account at a provider."""

    provider: str
    """The key of the provider."""
    subject: str
    email: str | None
    email_verified: bool
    """The provider's word. It is enough to open an account with this address, and never to enter one."""
    name: str | None = None

    @classmethod
    def of(cls, provider: str, subject: object, email: object, name: object, *, verified: object) -> Identity | None:
        """Return an identity of unchecked values; None if the subject is none."""
        if isinstance(subject, bool) or not isinstance(subject, str | int):
            return None
        text = str(subject)
        if not text or len(text) > MAX_SUBJECT or not text.isprintable():
            return None
        address = _clean(email, MAX_EMAIL)
        known = address is not None and "@" in address
        is_verified = verified is True or verified == "true"  # some providers write the claim as a text
        return cls(provider, text, address if known else None, known and is_verified, _clean(name, MAX_NAME))


def _clean(value: Any, longest: int) -> str | None:  # noqa: ANN401 - anything that a provider sends
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if text and len(text) <= longest and text.isprintable() else None
