"""The file with the timers: read, or refused with the reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from leapcell_emulator.services.cron import CronError, read_timers


def test_the_example_of_the_documentation() -> None:
    text = """
    cron:
      - path: /async/drain
        schedule: "*/5 * * * *"
        headers: {Authorization: "Bearer $OPS_TOKEN"}
      - path: /tick?slot=1
        every: 0.5
        method: get
    """
    drain, tick = read_timers(text, {"OPS_TOKEN": "secret"})
    assert (drain.method, drain.path, drain.headers) == ("POST", "/async/drain", {"Authorization": "Bearer secret"})
    moment = datetime(2026, 12, 31, 23, 58, 30, tzinfo=UTC)
    assert drain.after(moment) == datetime(2027, 1, 1, tzinfo=UTC)
    assert (tick.method, (tick.after(moment) - moment).total_seconds()) == ("GET", 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cron: [", "not YAML"),
        ("", "no list named cron"),
        ("- path: /", "no list named cron"),
        ("cron: {}", "no list named cron"),
        ("cron: [/tick]", "Entry 1 of the cron file is not a mapping"),
        ("cron: [{path: /a, every: 1}, {path: tick, every: 1}]", "Entry 2 of the cron file needs a path"),
        ("cron: [{path: /a}]", "either schedule or every"),
        ("cron: [{path: /a, every: 1, schedule: '* * * * *'}]", "either schedule or every"),
        ("cron: [{path: /a, schedule: hourly}]", "'hourly' is no schedule"),
        ("cron: [{path: /a, schedule: '* * * * * *'}]", "no schedule"),
        ("cron: [{path: /a, schedule: '61 * * * *'}]", "no schedule"),
        ("cron: [{path: /a, schedule: '0 0 30 2 *'}]", "no schedule"),
        ("cron: [{path: /a, schedule: 5}]", "no schedule"),
        ("cron: [{path: /a, every: 0}]", "every is a number"),
        ("cron: [{path: /a, every: true}]", "every is a number"),
        ("cron: [{path: /a, every: .inf}]", "every is a number"),
        ("cron: [{path: /a, every: 1, method: SHOUT}]", "SHOUT is no HTTP method"),
        ("cron: [{path: /a, every: 1, headers: [a]}]", "headers is not a mapping"),
        ("cron: [{path: /a, every: 1, headers: {a: $NOWHERE}}]", "NOWHERE"),
        ("cron: [{path: /a, every: 1, headers: {a: '$'}}]", "a header names"),
        ("cron: [{path: /a, evry: 1}]", "evry, which is not known"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(CronError, match=said):
        read_timers(text, {})
