"""What a service tells of when it does to an application what LeapCell would."""

from __future__ import annotations

from collections.abc import Callable

Notice = Callable[[str, str], None]
"""Told the name of a rule, as in `rules.py`, and what was found."""


class Notices:
    """Passes notices on, some of them only the first time.

    notice: who is told; nobody needs to be.
    """

    def __init__(self, notice: Notice | None = None) -> None:
        self._notice = notice
        self._told: dict[str, str] = {}

    @property
    def told(self) -> list[str]:
        """What was told once, the oldest first."""
        return list(self._told.values())

    def tell(self, rule: str, found: str) -> None:
        """Tell, each time."""
        if self._notice:
            self._notice(rule, found)

    def once(self, rule: str, found: str, *, kind: str = "") -> None:
        """Tell what would be the same the next time; of a kind, if given, only the first."""
        if (kind or found) not in self._told:
            self._told[kind or found] = found
            self.tell(rule, found)
