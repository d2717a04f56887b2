from __future__ import annotations

import asyncio
import threading

import pytest

from fastopp.features.accounts import passwords
from fastopp.features.accounts.passwords import (
    PasswordRejected,
    Verification,
    check_encoding,
    hash_password,
    verify_password,
)

# Written by FastOpp 0.4.8 (tests/fixtures): m=64 MiB, t=3, p=4.
OLD_ADMIN123 = "$argon2id$v=19$m=65536,t=3,p=4$pGAwIdyO7cHlW3AzSOLflQ$3wpeo0CnKD9+UhLe6AJNJ0VW9/WIvOZlyI4vgJlgQf4"
OLD_TEST123 = "$argon2id$v=19$m=65536,t=3,p=4$CbtS5Mw4B3dsRb2K6vgr2Q$Xv9V6VgXIVmBrR/lBylBlTq4vPerk1mGSk+Z8gmhZ/s"
BCRYPT_TEST123 = "$04$SmGzRcrwasslEgugzg2Ilu8oMxXlPuDzwpqO9EzuREcAE3OqgWw3i"  # behind any of the prefixes
BCRYPT_LONG = "$2b$04$xFRQgXlMAm9uod6LoVxXw.GfXI9tkWpyznZw5Hk4oprgpvR7JNUm6"  # of 80 characters, cut to 72


async def test_new_hash_has_owasp_parameters() -> None:
    hashed = await hash_password("correct horse")
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await verify_password("correct horse", hashed) == Verification(matches=True, replacement=None)
    assert await verify_password("correct horsf", hashed) == Verification(matches=False)


@pytest.mark.parametrize(("password", "hashed"), [("admin123", OLD_ADMIN123), ("test123", OLD_TEST123)])
async def test_hash_of_fastopp_048_is_verified_and_replaced(password: str, hashed: str) -> None:
    verification = await verify_password(password, hashed)
    assert verification.matches
    assert verification.replacement is not None
    assert verification.replacement.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert (await verify_password(password, verification.replacement)).matches
    assert await verify_password("other", hashed) == Verification(matches=False)


@pytest.mark.parametrize("prefix", ["$2a", "$2b", "$2y"])
async def test_bcrypt_is_verified_and_replaced(prefix: str) -> None:
    verification = await verify_password("test123", prefix + BCRYPT_TEST123)
    assert verification.matches
    assert verification.replacement is not None
    assert (await verify_password("test123", verification.replacement)).matches
    assert not (await verify_password("test124", prefix + BCRYPT_TEST123)).matches


async def test_long_password_of_bcrypt_is_replaced_whole() -> None:
    verification = await verify_password("long" * 20, BCRYPT_LONG)
    assert verification.replacement is not None
    assert (await verify_password("long" * 20, verification.replacement)).matches
    assert not (await verify_password("long" * 18, verification.replacement)).matches


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "test123",
        "pbkdf2_sha256$600000$salt$hash",
        "$argon2id$v=19$m=65536,t=3,p=4",
        "$argon2id$v=19$m=99999999999,t=2,p=1$aaaa$bbbb",
        "$argon2id$v=19$m=65536,t=3,p=4$é$x",
        "$2b$12$short",
        "$2b$99$" + "a" * 53,
        "$2y$é",
    ],
)
async def test_unknown_or_damaged_hash_fits_nothing(hashed: str) -> None:
    assert await verify_password("test123", hashed) == Verification(matches=False)


@pytest.mark.parametrize(("password", "reason"), [("ä" * 513, "too long"), ("\ud800" * 6, "text")])
async def test_rejected_password(password: str, reason: str) -> None:
    with pytest.raises(PasswordRejected, match=reason) as caught:
        check_encoding(password)
    assert caught.value.status == 422
    with pytest.raises(PasswordRejected, match=reason):
        await hash_password(password)


async def test_the_length_limit_is_inclusive() -> None:
    check_encoding("ä" * 512)


async def test_nobodys_hash_costs_what_a_new_one_does() -> None:
    current = (await hash_password("whatever")).rsplit("$", 2)[0]
    assert passwords.NOBODYS_HASH.rsplit("$", 2)[0] == current
    await passwords.verify_nobody("whatever")


async def test_hashes_run_off_the_loop_and_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, loop_thread = 0, 0, threading.get_ident()
    lock, real = threading.Lock(), passwords._verify

    def counted(password: bytes, hashed: str) -> Verification:
        nonlocal running, most
        assert threading.get_ident() != loop_thread
        with lock:
            running += 1
            most = max(most, running)
        try:
            return real(password, hashed)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(passwords, "_verify", counted)
    await asyncio.gather(*(passwords.verify_nobody("guess!") for _ in range(8)))
    assert most == passwords.CONCURRENT_HASHES


async def test_no_password_fits_an_unusable_hash_and_guessing_costs_the_same() -> None:
    made = passwords.unusable_hash()
    assert made != passwords.unusable_hash()
    assert (passwords.has_password(made), passwords.has_password(passwords.NOBODYS_HASH)) == (False, True)
    current = (await passwords.hash_password("anything")).rsplit("$", 2)
    found = made.rsplit("$", 2)
    assert (found[0], *map(len, found)) == (current[0], *map(len, current))
    for guess in ("", "no password!", made):
        assert await passwords.verify_password(guess, made) == passwords.Verification(matches=False)
