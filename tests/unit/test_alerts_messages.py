"""The settings of alerts, and what a message looks like to each receiver."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fastopp.features.alerts.destinations import destinations_of
from fastopp.features.alerts.messages import MAX_DISCORD, MAX_NTFY, Message, message_of, signature, write
from fastopp.features.alerts.models import AlertIncident
from fastopp.features.alerts.rules import AlertRule, Measured
from fastopp.features.alerts.site import percentile
from fastopp.recording import BOUNDS
from fastopp.settings import Settings, SettingsError, load_settings
from fastopp.settings.alerting import AlertSettingError, parse_alerts, parse_webhooks

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}


def settings(**variables: str) -> Settings:
    return load_settings(variables)


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("", []),
        ("https://hooks.slack.com/services/T0/B0/x", ["slack"]),
        ("https://discord.com/api/webhooks/1/a, https://ntfy.sh/topic\nhttps://a.example/?b=1,2",
         ["discord", "ntfy", "generic"]),
        ("slack+https://chat.example/hook ntfy+http://10.0.0.1:8080/t generic+https://ntfy.sh/x",
         ["slack", "ntfy", "generic"]),
    ],
)  # fmt: skip
def test_webhooks(text, formats):
    found = parse_webhooks(text)
    assert [each.format for each in found] == formats
    assert "://" not in repr(found)
    assert all(each.url.startswith("http") for each in found)


@pytest.mark.parametrize(
    "text",
    ["nothing", "ftp://a.example/x", "file:///etc/passwd", "https://", "https://a.example:x/", "irc+https://a.example",
     "https://a.example/ä", "https://a.example/\x01", " ".join(f"https://a.example/{each}" for each in range(11))],
)  # fmt: skip
def test_refused_webhooks(text):
    with pytest.raises(AlertSettingError) as raised:
        parse_webhooks(text)
    assert "a.example" not in str(raised.value)


def test_changes_to_rules():
    assert parse_alerts("") == (True, {})
    assert parse_alerts(" OFF ") == (False, {})
    assert parse_alerts("latency=off, storage = 90%,shop.stock=5,") == (
        True, {"latency": None, "storage": 0.9, "shop.stock": 5.0},
    )  # fmt: skip
    for wrong in ("latency", "latency=fast", "latency=-1", "latency=inf", "latency=nan", "latency=0", "a b=1", "=1"):
        with pytest.raises(AlertSettingError):
            parse_alerts(wrong)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALERTS", "latency"),
        ("ALERT_WEBHOOKS", "http://a.example/hook"),
        ("ALERT_WEBHOOKS", "a.example"),
        ("ALERT_WEBHOOK_SECRET", "short"),
        ("ALERT_MAIL", "nobody"),
        ("ALERT_MAIL", ", ".join(f"a{each}@example.com" for each in range(21))),
        ("HEARTBEAT_URL", "http://a.example/beat"),
        ("HEARTBEAT_URL", "a.example"),
    ],
)
def test_mistakes_are_found_at_the_start(variable, value):
    with pytest.raises(SettingsError) as raised:
        load_settings(PRODUCTION | {variable: value})
    assert [each.variable for each in raised.value.problems] == [variable]
    assert value not in str(raised.value) or variable == "ALERTS"


def test_urls_are_masked_wherever_they_appear():
    found = settings(ALERT_WEBHOOKS="https://hooks.slack.com/services/a https://b.example/secret-path")
    assert "https://b.example/secret-path" in set(found.secrets())
    assert "secret-path" not in repr(found)
    assert "secret-path" not in "".join(map(str, destinations_of(found)))


def incident(**values: object) -> AlertIncident:
    known = {
        "id": 7, "uid": "u" * 32, "rule": "health", "title": "It <is> broken & bad", "text": "1 of 2", "detail": "all",
        "hint": "Look.", "opened_at": datetime(2026, 11, 30, 22, tzinfo=UTC),
    }  # fmt: skip
    return AlertIncident(**(known | values))


def message(**values: object) -> Message:
    given = settings(SITE_URL="https://shop.example.com")
    resolved = values.get("resolved_at")
    return message_of("resolved" if resolved else "opened", incident(**values), given, "Shop", "test.1")


def test_each_format():
    body, headers = write(message(), "slack", "", 0)
    text = json.loads(body)["text"]
    assert text.splitlines()[0] == "Shop: It &lt;is&gt; broken &amp; bad"
    assert text.endswith("\nLook.\nhttps://shop.example.com/oppman/alerts")
    body, _ = write(message(detail="@everyone " * 1000), "discord", "", 0)
    assert len(json.loads(body)["content"]) == MAX_DISCORD
    assert json.loads(body)["allowed_mentions"] == {"parse": []}
    body, headers = write(message(title="ä\nb", detail="ö" * 5000), "ntfy", "", 0)
    assert headers["Title"] == "Shop: ä b".encode()
    assert headers["Priority"] == b"high"
    assert len(body) <= MAX_NTFY
    body, headers = write(message(), "generic", "", 0)
    assert "webhook-signature" not in headers
    assert json.loads(body)["type"] == "alert.opened"


def test_the_end_says_how_long_it_was():
    over = message(resolved_at=datetime(2026, 11, 30, 22, 5, tzinfo=UTC))
    assert over.headline == "Shop: it is over: It <is> broken & bad"
    assert "It lasted 5 minutes." in over.lines
    assert over.data["resolved_at"] == "2026-11-30T22:05:00+00:00"
    assert message().id != over.id


def test_the_signature_is_that_of_the_standard():
    """The example of https://github.com/standard-webhooks/standard-webhooks, with its published secret."""
    body = b'{"test": 2432232314}'
    made = signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert made == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_percentiles():
    assert percentile([0] * 18, 0.95) == 0
    buckets = [0] * 18
    buckets[6] = 100
    assert BOUNDS[5] < percentile(buckets, 0.95) <= BOUNDS[6]
    buckets[17] = 100
    assert percentile(buckets, 0.95) == BOUNDS[-1]
    assert percentile(buckets, 0.5) == BOUNDS[6]


async def test_a_rule_judges():
    async def measure(_site: object) -> float:
        return 1.0

    rule = AlertRule(id="x", title="", what="", measure=measure, threshold=10, sample=5)
    assert rule.is_true(Measured(10, 5))
    assert not rule.is_true(Measured(10, 4))
    assert rule.is_calm(Measured(10, 4))
    assert not rule.is_calm(Measured(9.5, 5))
    assert rule.is_calm(Measured(8.9, 5))
