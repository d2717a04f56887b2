"""One mistake in the settings."""

from __future__ import annotations

from typing import NamedTuple


class SettingProblem(NamedTuple):
    """One mistake: which variable, what is wrong, how to fix it."""

    variable: str
    what: str
    fix: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.what} {self.fix}".rstrip()
