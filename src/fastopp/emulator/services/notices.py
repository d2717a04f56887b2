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
        self.told: list[str] = []
        """What was told once, the oldest first."""

    def tell(self, rule: str, found: str) -> None:
        """Tell, each time."""
        if self._notice:
            self._notice(rule, found)

    def once(self, rule: str, found: str) -> None:
        """Tell what would be the same the next time."""
        if found not in self.told:
            self.told.append(found)
            self.tell(rule, found)
