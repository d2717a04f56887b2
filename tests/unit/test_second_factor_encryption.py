"""Secrets are bound to the key and to the account."""

from __future__ import annotations

import uuid

import pytest

from fastopp.features.second_factor.encryption import SecretUnreadable, decrypt, encrypt
from fastopp.settings import Settings, load_settings


def settings_of(key: str) -> Settings:
    return load_settings({"SECRET_KEY": key})


def test_only_the_same_key_and_account_decrypt() -> None:
    settings, user = settings_of("a-key-of-these-tests-of-forty-characters"), uuid.uuid4()
    sealed = encrypt(b"twenty bytes, secret", user, settings)
    assert len(sealed) <= 200
    assert sealed != encrypt(b"twenty bytes, secret", user, settings)
    assert decrypt(sealed, user, settings) == b"twenty bytes, secret"
    other = settings_of("another-key-of-these-tests-with-as-many-")
    for text, owner, given in (
        (sealed, uuid.uuid4(), settings),
        (sealed, user, other),
        (sealed[:-8], user, settings),
        ("", user, settings),
        ("?", user, settings),
    ):
        with pytest.raises(SecretUnreadable):
            decrypt(text, owner, given)
