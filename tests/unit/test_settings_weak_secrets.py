from __future__ import annotations

import secrets

import pytest

from fastopp.settings.weak_secrets import weakness_of_key, weakness_of_password


@pytest.mark.parametrize(
    "key",
    [
        "a" * 40,
        "ab" * 20,
        "abcdefghij" * 4,
        "password-password-password-password",
        "passwordpasswordpassword1",
        "0123456789abcdefghijklmnopqrstuvwxyz",
        "qwertyuiopasdfghjklzxcvbnm123456",
        "changeme-changeme-changeme-1",
        "9876543210zyxwvutsrqponm",
    ],
)
def test_keys_that_can_be_guessed(key: str) -> None:
    assert weakness_of_key(key)


@pytest.mark.parametrize(
    "key", ["correct horse battery staple", "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00", "operations of 1999"]
)
def test_other_keys(key: str) -> None:
    assert weakness_of_key(key) is None


def test_random_keys_are_never_weak() -> None:
    assert [key for key in (secrets.token_urlsafe(24) for _ in range(500)) if weakness_of_key(key)] == []


@pytest.mark.parametrize(
    ("password", "email"),
    [
        ("123456", ""),
        ("12345678901234", ""),
        ("password", ""),
        ("Passw0rd!", ""),
        ("P@$$w0rd123", ""),
        ("qwertyuiop", ""),
        ("asdfghjkl1", ""),
        ("aaaaaaaaaa", ""),
        ("abababab", ""),
        ("87654321", ""),
        ("Admin123!", ""),
        ("maria2026!", "maria@example.com"),
    ],
)
def test_passwords_that_can_be_guessed(password: str, email: str) -> None:
    assert weakness_of_password(password, email)


@pytest.mark.parametrize("password", ["the owner's password", "long enough", "another password", "tr4ctor-blue"])
def test_other_passwords(password: str) -> None:
    assert weakness_of_password(password, "owner@example.com") is None
