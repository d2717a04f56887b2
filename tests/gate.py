"""The tests that the gate leaves to `script/test --all`, each listed in docs/development.md with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[1] / "docs/development.md"

full = pytest.mark.full
each_database = pytest.mark.each_database
"""Have the gate run a test on PostgreSQL too, although its fixture leaves that to `--all`: databases differ here."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that has left the gate without a word about it."""
    listed = DOCS.read_text(encoding="utf-8")
    for item in items:
        if item.get_closest_marker("each_database") and "asyncpg" not in item.name:  # another driver is no database
            item.own_markers = [mark for mark in item.own_markers if mark.name != "full"]
        if item.get_closest_marker("full") and f"`{item.path.name}`" not in listed:
            raise pytest.UsageError(
                f"{item.nodeid} is marked `full`. Say in docs/development.md why the gate needs not run it."
            )


def only_full(*values: Any) -> list[Any]:
    """Return parameters that only `script/test --all` tries; a tuple is several at once."""
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=full) for value in values]


any_database = pytest.mark.parametrize("url", ["sqlite", *only_full("psycopg")], indirect=True)
"""Have the gate run a test on SQLite alone, although its fixture has both databases: it cannot distinguish them."""
