from __future__ import annotations

import pytest

from fastopp.features.accounts.password_policy import check_new_password, hash_new_password
from fastopp.features.accounts.passwords import PasswordRejected, verify_password


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("", "too short"),
        ("x7!kQ2p", "at least 8 characters"),
        ("ä" * 513, "too long"),
        ("\ud800" * 9, "not text"),
        ("password", "easy to guess"),
        ("P4ssw0rd!", "easy to guess"),
        ("admin123", "easy to guess"),
        ("qwerty12345", "easy to guess"),
        ("hunter22!", "easy to guess"),
        ("iloveyou2", "easy to guess"),
        ("sunshine1", "easy to guess"),
        ("x" * 1024, "easy to guess"),
        ("robinson9", "easy to guess"),
        ("ann.smith", "easy to guess"),
    ],
)
async def test_what_is_refused(password: str, reason: str) -> None:
    with pytest.raises(PasswordRejected, match=reason) as caught:
        await check_new_password(password, "ann.smith@example.com", "Ann Robinson")
    assert caught.value.status == 422


@pytest.mark.parametrize(
    "password", ["correct horse", "x7!kQ2pz", "a new password", "Ünïcödé-ß-7", "gK4-tz_Qm1" + "w" * 900]
)
async def test_what_is_accepted(password: str) -> None:
    await check_new_password(password, "ann@example.com")


async def test_the_hash_of_a_new_password() -> None:
    assert (await verify_password("correct horse", await hash_new_password("correct horse"))).matches
    with pytest.raises(PasswordRejected):
        await hash_new_password("test123")
