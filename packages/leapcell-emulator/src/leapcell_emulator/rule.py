"""A rule without its value: its name, its source, and its messages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from leapcell_emulator.documented import KIB, MIB
from leapcell_emulator.errors import BadRequest

LIMITS: Final = "https://docs.leapcell.io/limit/"
LIFE: Final = "https://docs.leapcell.io/serverless-vs-persistent"
TROUBLE: Final = "https://docs.leapcell.io/service/troubleshooting"
SERVICE: Final = "https://docs.leapcell.io/service"
DEPLOYMENTS: Final = "https://docs.leapcell.io/service/continuous-deployments"
ASYNC: Final = "https://docs.leapcell.io/service/async"
POSTGRESQL: Final = "https://docs.leapcell.io/postgresql"
REDIS: Final = "https://docs.leapcell.io/redis"
OBSERVED: Final = "not in LeapCell's documents"

MEGABYTE = 1_000_000


_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|b|bytes|kb|mb|gb|kib|mib|gib)", re.IGNORECASE)
_FACTORS = {"k": 1, "m": 2, "g": 3}


class RuleValueRefused(BadRequest):
    """A rule cannot have this value."""


class Evidence(StrEnum):
    """The kind of source that a rule has, from best to worst."""

    DOCUMENTED = "documented"
    CODE = "seen in public code"
    OBSERVED = "seen by users"
    INFERRED = "inferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table, without its value."""

    id: str
    title: str
    message: str
    """The message when it fires. `{limit}` is the value in force, `{found}` what was met."""
    source: str
    evidence: Evidence
    unit: str = ""
    """`bytes`, `seconds`, `share` (0 to 1), a noun for counts, or nothing for a switch or a choice."""
    choices: tuple[str, ...] = ()
    name: str = ""
    """Its field of `Rules`; filled in by `RULES`."""
    default: Any = None

    @property
    def option(self) -> str:
        """The command-line option that changes it."""
        return "--" + self.name.replace("_", "-")

    def check(self, value: Any) -> None:  # noqa: ANN401 - each rule has its own type
        """Raises `RuleValueRefused` for a value that makes no sense."""
        if self.choices and value not in self.choices:
            raise RuleValueRefused(f"{self.option} is {value}.", hint=f"It can be {' or '.join(self.choices)}.")
        if self.unit and value < 0:
            raise RuleValueRefused(f"{self.option} is {value}, less than nothing.")
        if self.unit == "share" and value > 1:
            raise RuleValueRefused(f"{self.option} is {value}.", hint="It is a share, from 0 to 1.")
        if self.name in ("instances", "async_workers", "db_max_connections") and value < 1:
            raise RuleValueRefused(f"{self.option} is {value}.", hint="At least one is needed.")

    def format(self, value: object) -> str:
        """A value of this rule for people: `5 MiB`, `15 min`, `on`."""
        if isinstance(value, bool):
            return "on" if value else "off"
        if isinstance(value, int | float) and not value and self.unit in ("bytes", "seconds"):
            return "none"
        if self.unit == "bytes" and isinstance(value, int):
            return format_size(value)
        if self.unit == "seconds" and isinstance(value, int | float):
            return f"{value / 60:g} min" if value >= 120 else f"{value:g} s"
        return f"{value} {self.unit}" if self.unit not in ("", "share") else str(value)


def format_size(size: int) -> str:
    """Bytes for people, in the largest unit that fits: `5 MiB`, `16 KiB`, `100 MB`, `1.5 MB`."""
    for unit, name in ((MIB, "MiB"), (MEGABYTE, "MB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"


def parse_size(text: str) -> int:
    """Bytes from what people write: `5MB`, `16 KiB`, `5000`. Raises `RuleValueRefused`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise RuleValueRefused(f"{text} is no size.", hint="Write it like 5MB, 16KiB or 5000.")
    unit = match[2].lower()
    base = KIB if unit.endswith("ib") else 1000
    return int(float(match[1]) * base ** _FACTORS.get(unit[:1], 0))
