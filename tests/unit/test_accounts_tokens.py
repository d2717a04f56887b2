from __future__ import annotations

import uuid
from datetime import timedelta

import jwt
import pytest
from pydantic import SecretStr

from fastopp.features.accounts.models import User, utc_now
from fastopp.features.accounts.tokens import issue_token, password_fingerprint, read_token
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.testing import ManualClock

KEY = "an-ordinary-key-of-forty-characters-more"
SETTINGS = Settings(platform=LOCAL, secret_key=SecretStr(KEY), access_token_expire_minutes=45)
SESSION = uuid.uuid4()
OTHER = Settings(platform=LOCAL, secret_key=SecretStr(KEY[::-1]))


@pytest.fixture
def user() -> User:
    return User(email="ann@example.com", hashed_password="$one", is_staff=True)


def test_claims_of_a_token(user: User) -> None:
    claims = jwt.decode(issue_token(user, SETTINGS, SESSION), KEY, algorithms=["HS256"])
    assert claims["sub"] == str(user.id)
    assert claims["email"] == "ann@example.com"
    assert claims["is_staff"] is True
    assert claims["is_superuser"] is False
    assert claims["sid"] == str(SESSION)
    assert claims["exp"] - claims["iat"] == 45 * 60
    assert "$one" not in str(claims)


def test_a_token_fits_its_user_until_the_password_changes(user: User) -> None:
    claims = read_token(issue_token(user, SETTINGS, SESSION), SETTINGS)
    assert claims is not None
    assert claims.fits(user, SETTINGS)
    assert not claims.fits(User(email="b@example.com", hashed_password="$one"), SETTINGS)
    user.hashed_password = "$two"
    assert not claims.fits(user, SETTINGS)


def test_a_token_expires(user: User) -> None:
    clock = ManualClock()
    token = issue_token(user, SETTINGS, SESSION, clock=clock)
    clock.advance(44 * 60)
    assert read_token(token, SETTINGS, clock=clock) is not None
    clock.advance(2 * 60)
    assert read_token(token, SETTINGS, clock=clock) is None


def test_a_token_expires_by_the_systems_clock(user: User) -> None:
    now = utc_now()
    assert (
        read_token(jwt.encode(_forged(user, exp=now - timedelta(seconds=1)), KEY, algorithm="HS256"), SETTINGS) is None
    )
    assert read_token(jwt.encode(_forged(user, exp=now + timedelta(hours=1)), KEY, algorithm="HS256"), SETTINGS)


def test_a_clock_that_is_a_little_ahead_does_no_harm(user: User) -> None:
    assert (
        read_token(issue_token(user, SETTINGS, SESSION, clock=ManualClock(utc_now() + timedelta(seconds=20))), SETTINGS)
        is not None
    )


def _forged(user: User, **changes: object) -> dict[str, object]:
    claims = {
        "sub": str(user.id),
        "exp": utc_now() + timedelta(minutes=5),
        "fingerprint": password_fingerprint(user.hashed_password, SETTINGS),
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def test_what_is_not_genuine_is_nothing(user: User) -> None:
    good = issue_token(user, SETTINGS, SESSION)
    head, body, _ = good.split(".")
    unsigned = jwt.encode(_forged(user), None, algorithm="none")
    tampered = f"{head}.{body}.{'A' * 43}"
    other_algorithm = jwt.encode(_forged(user), KEY * 2, algorithm="HS512")
    for token in (
        "",
        "x",
        "a.b.c",
        "..",
        good[:-2],
        tampered,
        unsigned,
        other_algorithm,
        issue_token(user, OTHER, SESSION),
    ):
        assert read_token(token, SETTINGS) is None, token


@pytest.mark.parametrize(
    "changes",
    [
        *({"exp": moment} for moment in (None, 0, "soon", [], float("inf"), float("nan"))),
        {"sub": None},
        {"fingerprint": None},
        {"sub": "not-a-uuid"},
        {"sub": ""},
        *({"sid": session_id} for session_id in ("", "not-a-uuid", 7, [])),
    ],
)
def test_incomplete_claims_are_nothing(user: User, changes: dict[str, object]) -> None:
    assert read_token(jwt.encode(_forged(user), KEY, algorithm="HS256"), SETTINGS) is not None
    assert read_token(jwt.encode(_forged(user, **changes), KEY, algorithm="HS256"), SETTINGS) is None


def test_fingerprint_depends_on_key_and_hash() -> None:
    texts = {password_fingerprint(h, s) for h in ("$one", "$two") for s in (SETTINGS, OTHER)}
    assert len(texts) == 4
    assert password_fingerprint("$one", SETTINGS) == password_fingerprint("$one", SETTINGS)
    assert str(uuid.uuid4()) not in texts
