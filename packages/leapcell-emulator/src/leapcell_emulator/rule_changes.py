"""Rules that can be changed while the emulator runs: those that are looked up for each request."""

from __future__ import annotations

from typing import Any, Final

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.rule import Rule, RuleValueRefused, parse_size
from leapcell_emulator.rules import RULES, Rules

LIVE: Final = frozenset(
    {
        "freeze",
        "request_timeout",
        "max_request_body",
        "max_request_line",
        "max_header",
        "max_request_headers",
        "max_response_body",
        "max_response_headers",
        "websockets",
        "cold_start",
        "dormant_after",
        "start_warning",
        "start_timeout",
        "max_concurrency",
        "forwarded_proto",
        "instances",
        "deployment_overlap",
    }
)
"""Their names. `instances` counts from the next deployment on."""

_SWITCHES: Final = {"on": True, "true": True, "off": False, "false": False}


def change(rules: Rules, order: str) -> str:
    """Carry out `name=value`, where the value is written as on the command line, and return what is in force now.

    Raises `BadRequest`, `RuleValueRefused`.
    """
    name, equals, text = order.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if name not in LIVE or not equals:
        known = ", ".join(sorted(LIVE))
        raise BadRequest(
            f"{order} changes no rule that can be changed now.", hint=f"Write one of {known}, = and a value."
        )
    rule = RULES[name]
    value = _parse(rule, text.strip())
    rule.check(value)
    setattr(rules, name, value)
    return f"{rule.id} {rule.title}: {rule.format(value)}."


def _parse(rule: Rule, text: str) -> Any:  # noqa: ANN401 - each rule has its own type
    kind = type(rule.default)
    try:
        if kind is bool:
            return _SWITCHES[text.lower()]
        if rule.unit == "bytes":
            return parse_size(text)
        value = kind(text)
    except (KeyError, ValueError):
        wanted = {bool: "on or off", int: "a whole number", float: "a number of seconds"}.get(kind, "a text")
        raise RuleValueRefused(f"{rule.option} is {text}.", hint=f"Write {wanted}.") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise RuleValueRefused(f"{rule.option} is {text}.", hint="Write a number of seconds; 0 is no limit.")
    return value
