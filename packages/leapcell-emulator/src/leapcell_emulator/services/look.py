"""A bounded look at what a service holds, as a table for the page."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

ROWS: Final = 50
"""Rows of one look."""
LONGEST: Final = 300
"""Characters of one value."""


@dataclass(slots=True, kw_only=True)
class Table:
    """Rows of text, some of which can be opened."""

    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    opens: list[str] = field(default_factory=list)
    """For each row the name to look at next; empty: no row can be opened."""
    downloads: list[str] = field(default_factory=list)
    """For each row the key of the object to download; empty: there are none."""
    more: bool = False
    """Whether there are rows after these."""
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for the page."""
        return asdict(self)


def shorten(text: str) -> str:
    """Cut a long value."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
