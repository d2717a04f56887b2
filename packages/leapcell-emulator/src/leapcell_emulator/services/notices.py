"""Notices of a service when it enforces a rule of LeapCell's."""

from __future__ import annotations

from collections.abc import Callable

Notice = Callable[[str, str], None]
"""Called with the name of a rule, as in `rules.py`, and what was found."""


class Notices:
    """Passes notices on, some of them only the first time.

    notice: a callback for notices, optional.
    """

    def __init__(self, notice: Notice | None = None) -> None:
        self._notice = notice
        self._told: dict[str, str] = {}

    @property
    def told(self) -> list[str]:
        """The notices that are reported once, the oldest first."""
        return list(self._told.values())

    def tell(self, rule: str, found: str) -> None:
        """Report each time."""
        if self._notice:
            self._notice(rule, found)

    def once(self, rule: str, found: str, *, kind: str = "") -> None:
        """Report once; of a kind, if given, only the first."""
        if (kind or found) not in self._told:
            self._told[kind or found] = found
            self.tell(rule, found)
