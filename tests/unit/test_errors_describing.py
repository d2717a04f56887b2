"""What is stored of an error, with secrets masked."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from starlette.datastructures import FormData

from fastopp.clock import SYSTEM_CLOCK
from fastopp.features.errors.describing import MAX_TEXT, MAX_TRACEBACK, describe
from fastopp.settings import load_settings
from fastopp.testing import ManualClock
from fastopp.token_bucket import TokenBucket

SETTINGS = load_settings(
    {"SECRET_KEY": "canary-key-of-the-settings-0123456789", "DATABASE_URL": "postgresql://jo:p%40ss-canary@h/d"},
    env_file=None,
)


class Login(BaseModel):
    email: str
    password: str
    pin: SecretStr


def raised(message: str, **local: Any) -> Exception:
    try:
        _fail(message, local)
    except ValueError as error:
        return error
    raise AssertionError


def _fail(message: str, held: object) -> None:
    raise ValueError(message)


def described(error: BaseException, **options: Any) -> str:
    found = describe(error, SETTINGS, **{"context": {}} | options)
    return f"{found.message}\n{found.headline}\n{found.traceback}\n{found.context}"


@pytest.mark.parametrize(
    "held",
    [
        {"password": "canary one"},
        {"inner": [{"api_key": "canary one"}]},
        {"form": FormData([("user", "jo"), ("password", "canary one")])},
        {"login": Login(email="jo", password="canary one", pin=SecretStr("canary two"))},
        {"token": b"canary one"},
        {"cookies": ["canary one", "canary two"]},
    ],
)
def test_secrets_in_local_variables(held):
    text = described(raised("it has canary one in it", **held))
    assert "canary" not in text
    assert "it has *** in it" in text


def test_secrets_of_the_request():
    scope = {
        "headers": [
            (b"authorization", b"Basic Y2FuYXJ5"),
            (b"cookie", b'a="canary%20a"; b=canary-b'),
            (b"x-key", b"canary-k"),
        ],
        "query_string": b"token=canary%2Bq&page=12345678",
        "path_params": {"reset_token": "canary-p", "page": 5},
    }
    shown = "Y2FuYXJ5|canary%20a|canary a|canary-b|canary-k|canary+q|canary-p|12345678"
    assert describe(ValueError(shown), SETTINGS, scope=scope, context={}).message == "***|" * 7 + "12345678"


def test_secrets_of_the_settings_and_what_looks_like_one():
    message = (
        "canary-key-of-the-settings-0123456789 p@ss-canary postgresql://jo:other-canary@h/d password=canary-w "
        "Bearer canary-b {'secret': 'canary-d'}"
    )
    assert "canary" not in described(ValueError(message))


def test_a_secret_at_a_cut_is_found_whole():
    secret = "canary" * 40
    for before in range(MAX_TEXT - len(secret) - 2, MAX_TEXT + 2, 7):
        text = described(raised(" x" * (before // 2) + f" {secret} " + " y" * 20_000, password=secret))
        assert "canary" not in text


def test_texts_are_bounded():
    error = raised("line\n" * 1_000_000)
    for _ in range(50):
        error.add_note("note " * 10_000)
    found = describe(error, SETTINGS, context={"deep": [[[[["x" * 10_000] * 100] * 100]]], "many": list(range(1000))})
    assert len(found.message) <= MAX_TEXT
    assert len(found.headline) <= 500
    assert len(found.traceback) <= MAX_TRACEBACK + 10
    assert len(str(found.context)) < 20_000
    assert found.traceback.startswith("Traceback")


@pytest.mark.parametrize(
    "text",
    [
        *(part * 100_000 for part in ("aaaaa", "a://", "pass", "token ", "token=", "'", "\\\\", " \t\n")),
        "password='" + "\\'" * 200_000,
    ],
)
def test_time_is_bounded_for_any_text(text):
    began = time.process_time()
    described(raised(text, value=text), context={str(number): text for number in range(20)})
    assert time.process_time() - began < 2


def test_objects_that_misbehave():
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        def __repr__(self) -> str:
            raise RuntimeError

        def __getattribute__(self, name: str) -> Any:
            if name == "__dict__":
                raise RuntimeError
            return super().__getattribute__(name)

    class Endless(dict[str, Any]):
        def items(self) -> Any:
            raise AssertionError("code of the value runs")

    circle: list[Any] = []
    circle.append(circle)
    text = described(raised("x", odd=Odd(), circle=circle, endless=Endless(password="x")))
    assert "ValueError: x" in text
    assert "(its message cannot be made)" in described(Odd())
    assert describe(Odd(), SETTINGS, context={"odd": Odd(), "circle": circle, "half": "\ud800\0"}).context["half"]


def test_a_budget_fills_again():
    clock = ManualClock()
    budget = TokenBucket(clock, 2, 10.0)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    clock.advance(10)
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.advance(1000)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    assert TokenBucket(SYSTEM_CLOCK, 1, 1.0).take()
