"""What the gate leaves to `script/test --all`: see "The gate and everything" in docs/development.md."""

from __future__ import annotations

from typing import Any

import pytest

full = pytest.mark.full


def only_full(*values: Any) -> list[Any]:
    """Return parameters that only `script/test --all` tries; a tuple is several at once."""
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=full) for value in values]
