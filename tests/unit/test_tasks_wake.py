"""The token of a wake-up, the address it is sent to, and what becomes of a request that fails."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime, timedelta

import pytest

from fastopp.settings import SettingsError, load_settings
from fastopp.tasks import wake, wake_tokens
from fastopp.tasks.wake_tokens import CLOCK_SKEW, LIFETIME, WakeRefused, issue_token, read_token
from fastopp.testing import ManualClock

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"


def settings(**variables: str):
    base = {"ENVIRONMENT": "production", "SECRET_KEY": KEY, "DATABASE_URL": "sqlite:///unused.db"}
    return load_settings(base | {"FASTOPP_PLATFORM": "leapcell"} | variables)


def test_a_token_is_good_for_an_hour():
    token = issue_token(settings(), clock=ManualClock(NOW))
    assert read_token(token, settings(), clock=ManualClock(NOW)).expires_at == NOW + LIFETIME
    assert read_token(token, settings(), clock=ManualClock(NOW + LIFETIME - timedelta(seconds=1)))
    for moment in (NOW + LIFETIME, NOW + timedelta(days=1), NOW - CLOCK_SKEW - timedelta(seconds=1)):
        with pytest.raises(WakeRefused):
            read_token(token, settings(), clock=ManualClock(moment))


def test_clocks_of_instances_may_differ():
    token = issue_token(settings(), clock=ManualClock(NOW))
    assert read_token(token, settings(), clock=ManualClock(NOW - timedelta(seconds=30)))


def test_no_two_tokens_are_alike():
    tokens = {read_token(issue_token(settings()), settings()).nonce for _ in range(100)}
    assert len(tokens) == 100


@pytest.mark.parametrize("change", ["", "x", "x.y", "%00", "é", "a" * 10_000, None])
def test_what_is_not_genuine_is_refused(change):
    token = issue_token(settings(), clock=ManualClock(NOW))
    if change is None:  # the signature's first letter: some bits of the last one say nothing
        start, _, signature = token.rpartition(".")
        change = f"{start}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    with pytest.raises(WakeRefused):
        read_token(change, settings(), clock=ManualClock(NOW))


def test_another_key_or_another_purpose_is_refused():
    token = issue_token(settings(SECRET_KEY=KEY[::-1]), clock=ManualClock(NOW))
    with pytest.raises(WakeRefused):
        read_token(token, settings(), clock=ManualClock(NOW))
    other = wake_tokens._serializer(settings())
    other.salt = b"fastopp.something.else"
    with pytest.raises(WakeRefused):
        read_token(other.dumps(["nonce", int(NOW.timestamp())]), settings(), clock=ManualClock(NOW))


@pytest.mark.parametrize(
    "url", ["https://my-service.leapcell-async.dev", "https://x.test/", "http://127.0.0.1:8000", "http://localhost"]
)
def test_addresses_that_may_be_woken(url):
    assert settings(LEAPCELL_ASYNC_URL=url).leapcell_async_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://my-service.leapcell-async.dev",
        "http://127.0.0.1.evil.test",
        "http://127.0.0.1:8000/path",
        "https://user:word@x.test",
        "https://x.test/path",
        "https://x.test?a=b",
        "ftp://x.test",
        "x.test",
        "https://",
    ],
)
def test_addresses_that_may_not(url):
    with pytest.raises(SettingsError, match="LEAPCELL_ASYNC_URL"):
        settings(LEAPCELL_ASYNC_URL=url)


def test_only_where_nothing_runs_between_requests():
    url = {"LEAPCELL_ASYNC_URL": "https://x.test"}
    assert wake.waker_of(settings(**url))
    assert wake.waker_of(settings()) is None
    assert wake.waker_of(settings(FASTOPP_PLATFORM="leapcell-persistent", **url)) is None


async def test_a_failure_is_logged_without_the_token_and_raises_nothing(caplog):
    caplog.set_level(logging.DEBUG)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        waken = wake.waker_of(settings(LEAPCELL_ASYNC_URL=f"http://127.0.0.1:{nobody.getsockname()[1]}"))
        assert waken
        assert await waken() is False
    assert "could not be woken" in caplog.text
    assert "Wake " not in caplog.text


async def test_silence_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(wake, "TIME_LIMIT", 0.1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        waken = wake.waker_of(settings(LEAPCELL_ASYNC_URL=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert waken
        assert await waken() is False
    assert "could not be woken" in caplog.text


async def test_a_drain_wakes_nobody():
    waken = wake.waker_of(settings(LEAPCELL_ASYNC_URL="https://nowhere.invalid"))
    assert waken
    with wake.without_waking():
        assert await waken() is False
