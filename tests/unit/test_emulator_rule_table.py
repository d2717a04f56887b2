"""The table of rules: whole, with sources, and its values checked."""

from __future__ import annotations

import pytest

from leapcell_emulator.events import KEPT, Journal, ServedRequest
from leapcell_emulator.rule import Rule, RuleValueRefused, format_size, parse_size
from leapcell_emulator.rules import PROFILES, RULES, Rules, UnknownProfile

MIB = 1024 * 1024


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_each_rule_says_where_it_is_documented_and_can_fire(rule: Rule) -> None:
    assert rule.id.removeprefix("E").isdigit()
    assert rule.source.startswith("https://docs.leapcell.io/") or rule.source == "not in LeapCell's documents"
    assert rule.format(rule.default)
    journal = Journal(Rules())
    event = journal.fire(rule.name, found="something", path="/kaithhealth")
    assert "{" not in event.message
    assert journal.fired == {rule.name: 1}


def test_every_row_of_the_list_is_there() -> None:
    assert {rule.id for rule in RULES.values()} == {f"E{number}" for number in range(1, 21)}


def test_persistent_mode_has_no_rule_of_serverless_mode() -> None:
    rules = Rules.from_options("persistent", {"max_request_body": 5})
    assert (rules.freeze, rules.read_only, rules.websockets, rules.shared_memory) == (False, False, True, True)
    assert (rules.instances, rules.dormant_after, rules.cold_start, rules.request_timeout) == (1, 0, 0, 0)
    assert (rules.max_request_body, rules.db_tls, rules.only_http) == (5, True, True)


def test_profiles() -> None:
    assert Rules.from_options() == Rules()
    assert Rules.from_options("old").max_request_body == 5 * MIB
    assert Rules.from_options("strict").max_request_headers == 64_000
    assert Rules.from_options("old", {"max_request_body": 1, "instances": None}) == Rules.from_options(
        "old", {"max_request_body": 1}
    )
    for values in PROFILES.values():
        assert set(values) <= set(RULES)
    with pytest.raises(UnknownProfile, match="no profile loose"):
        Rules.from_options("loose")


@pytest.mark.parametrize(
    ("name", "value"),
    [("instances", 0), ("async_drop", 1.5), ("async_drop", -0.1), ("request_timeout", -1.0), ("pooler", "statement")],
)
def test_values_that_make_no_sense(name: str, value: object) -> None:
    with pytest.raises(RuleValueRefused, match=RULES[name].option):
        Rules.from_options("default", {name: value})


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("5000", 5000), ("5MB", 5_000_000), ("16 KiB", 16 * 1024), ("1.5MiB", 3 * MIB // 2), ("2gb", 2 * 10**9)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1", "5 apples", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(RuleValueRefused, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (100, "100 bytes"),
        (16 * 1024, "16 KiB"),
        (5 * MIB, "5 MiB"),
        (5_000_000, "5 MB"),
        (1500, "1.5 KiB"),
    ],
)
def test_sizes_are_written(size: int, text: str) -> None:
    assert format_size(size) == text


def test_the_journal_keeps_the_last_and_counts_all() -> None:
    heard = []
    journal = Journal(Rules(), heard.append)
    for number in range(KEPT + 10):
        journal.fire("read_only", found=str(number), instance="i1")
        journal.served(ServedRequest(method="GET", path=f"/{number}", status=200, seconds=0.1), {})
    state = journal.state()
    assert len(state["events"]) == len(state["requests"]) == KEPT
    assert state["requests"][-1]["path"] == f"/{KEPT + 9}"
    assert state["fired"] == {"read_only": KEPT + 10}
    assert len(heard) == KEPT + 10
