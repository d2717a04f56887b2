from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from fastopp.features.emergency import grants as emergency
from fastopp.features.emergency.grants import emergency_token, is_granted
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.testing import ManualClock

KEY = "an-ordinary-key-of-forty-characters-more"
SETTINGS = Settings(platform=LOCAL, secret_key=SecretStr(KEY))


def at(moment: float) -> ManualClock:
    return ManualClock(datetime.fromtimestamp(moment, UTC))


def test_the_token_is_derived_from_the_key_and_does_not_tell_it() -> None:
    token = emergency_token(SETTINGS)
    assert token == emergency_token(SETTINGS) != emergency_token(Settings(platform=LOCAL, secret_key=SecretStr("k")))
    assert len(token) == 43
    assert KEY not in token


def test_a_grant_lasts_a_quarter_of_an_hour() -> None:
    session: dict[str, Any] = {"other": 1, "emergency_access": True, "emergency_granted_at": "1000"}
    clock = at(1000.5)
    assert is_granted(session, clock=clock)
    clock.advance(15 * 60 - 1)
    assert is_granted(session, clock=clock)
    clock.advance(1)
    assert not is_granted(session, clock=clock)
    assert not is_granted(session, clock=at(900))
    assert not is_granted({"other": 1})


@pytest.mark.parametrize("moment", ["", "soon", None, [], "nan", "inf", "-inf"])
def test_a_strange_moment_grants_nothing(moment: object) -> None:
    assert not is_granted({emergency.GRANTED: True, emergency.GRANTED_AT: moment}, clock=at(1000))


@pytest.mark.parametrize("flag", [False, "true", 1, None])
def test_a_strange_flag_grants_nothing(flag: object) -> None:
    assert not is_granted({emergency.GRANTED: flag, emergency.GRANTED_AT: "1000"}, clock=at(1000))
