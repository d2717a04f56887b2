"""The settings of alerts, parsed: ALERTS and ALERT_WEBHOOKS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from fastopp.errors import FastOppError

Format = Literal["generic", "slack", "discord", "ntfy"]

MAX_WEBHOOKS: Final = 10
_OFF: Final = frozenset({"off", "false", "no", "0"})
_RULE: Final = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}")
_BETWEEN: Final = re.compile(r"[\s,]+(?=[a-z]+(?:\+[a-z]+)?://)", re.IGNORECASE)
_USUAL: Final[Mapping[str, Format]] = MappingProxyType({
    "hooks.slack.com": "slack", "discord.com": "discord", "discordapp.com": "discord", "ntfy.sh": "ntfy",
})  # fmt: skip


class AlertSettingError(FastOppError):
    """A setting of alerts is invalid."""


class AlertChoice(NamedTuple):
    """The changes to the rules."""

    enabled: bool
    thresholds: Mapping[str, float | None]
    """By rule; None switches it off."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that messages are posted to, and what is understood there. The URL, which is a secret, is not shown."""

    format: Format
    url: str = field(repr=False)

    @property
    def host(self) -> str:
        """The part of the URL that may be shown."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_protected(self) -> bool:
        """Whether messages are encrypted on their way."""
        return urlsplit(self.url).scheme == "https"


def parse_alerts(value: str) -> AlertChoice:
    """Parse ALERTS. Raises AlertSettingError."""
    if value.strip().lower() in _OFF:
        return AlertChoice(enabled=False, thresholds={})
    thresholds: dict[str, float | None] = {}
    for part in filter(None, (each.strip() for each in value.split(","))):
        rule, equals, threshold = (each.strip().lower() for each in part.partition("="))
        if not equals or not _RULE.fullmatch(rule):
            raise AlertSettingError("Not a list of rules.", hint="Use `off`, or `latency=off, storage=90%`.")
        thresholds[rule] = None if threshold in _OFF - {"0"} else _number(rule, threshold)
    return AlertChoice(enabled=True, thresholds=thresholds)


def _number(rule: str, text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise AlertSettingError(f"{rule} has no number above 0.", hint=f"Use `{rule}=off`, or a number or per cent.")
    return value


def parse_webhooks(value: str) -> tuple[Webhook, ...]:
    """Parse ALERT_WEBHOOKS. Raises AlertSettingError, which does not show it."""
    urls = [each for each in _BETWEEN.split(value.strip().rstrip(",")) if each]
    if len(urls) > MAX_WEBHOOKS:
        raise AlertSettingError(f"More than {MAX_WEBHOOKS} URLs.")
    return tuple(_webhook(url) for url in urls)


def is_url(text: str) -> bool:
    """Return whether a text is a URL that can be requested."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isascii() and text.isprintable() and (
        " " not in text
    )  # fmt: skip


def _webhook(text: str) -> Webhook:
    word, plus, rest = text.partition("+")
    known: Format | None = next((each for each in get_args(Format) if plus and each == word.lower()), None)
    url = rest if known else text
    if not is_url(url):
        raise AlertSettingError(
            "Not a list of URLs.", hint="Use https://…, slack+https://…, discord+https://… or ntfy+https://…."
        )
    return Webhook(known or _USUAL.get(urlsplit(url).hostname or "", "generic"), url)
