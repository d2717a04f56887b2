"""A rule: what is measured, and from which value on it is an incident.

An app's `alerts.py` has its own in `RULES`. See docs/alerts.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from fastopp.features.alerts.site import Site

Unit = Literal["", "share", "seconds", "hours", "times"]


class Measured(NamedTuple):
    """A measurement."""

    value: float
    sample: int = 0
    """The number of requests, tasks … that it is about."""
    detail: str = ""
    """More for people, in a line or several. Secrets of the settings are masked."""


Measure = Callable[["Site"], Awaitable["Measured | float | None"]]
"""Returns None where there is nothing to measure. An exception leaves the rule as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """A rule. Its incident opens when the value is at least `threshold` for `lasts` seconds."""

    id: str
    """Lower case, unique within the app. The page and ALERTS show an app's with its name: `shop.stock`."""
    title: str
    """The incident in a few words, like `Many answers are server errors`."""
    what: str
    """The measured thing, like `5xx among the answers of five minutes`."""
    measure: Measure
    threshold: float
    unit: Unit = ""
    sample: int = 0
    """Below this sample it is not true."""
    lasts: float = 0
    clear: float = 0.9
    """It is over below this share of the threshold …"""
    calm: float = 60
    """… for so many seconds."""
    every: float = 0
    """Seconds from one measurement to the next, for an expensive one; by default at each evaluation."""
    hint: str = ""
    """Advice on what to do."""

    def is_true(self, measured: Measured) -> bool:
        """Return whether a measurement reaches the threshold."""
        return measured.sample >= self.sample and measured.value >= self.threshold

    def is_calm(self, measured: Measured) -> bool:
        """Return whether a measurement is low enough for the end of an incident."""
        return measured.sample < self.sample or measured.value < self.threshold * self.clear

    def shown(self, value: float | None) -> str:
        """Return a value in its unit."""
        if value is None:
            return "nothing to measure"
        if self.unit == "share":
            return f"{value:.1%}"
        if self.unit == "times":
            return f"{value:.1f} times"
        if self.unit in ("seconds", "hours"):
            return f"{value:,.3g} {self.unit}" if value < 1 else f"{value:,.0f} {self.unit}"
        return f"{value:,.10g}"


NEW_ERROR: Final = "new-error"
"""The rule that has no value: each new error is an incident."""


async def _nothing(_site: Site) -> None:
    """The incidents of this rule are opened by `fastopp.features.alerts.new_errors`."""


NEWS: Final = AlertRule(
    id=NEW_ERROR,
    title="New errors",
    what="Unhandled errors that are new, or occur again after they were resolved",
    measure=_nothing,
    threshold=1,
    hint="See /oppman/errors. It is over when they are resolved or ignored, or did not occur for an hour.",
)
