"""The pages beside one of a list that is too long to be counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from fastopp.database.keyset import NUMBERED_UP_TO


class Steps(NamedTuple):
    """The parameters of the pages before and after one, for `ui.pagination`; None where there is none."""

    previous: dict[str, Any] | None
    next: dict[str, Any] | None


def steps(page: int, per_page: int, ids: Sequence[Any]) -> Steps:
    """Return the steps from a page whose rows have these ids.

    A page that NUMBERED_UP_TO reaches is named by its number alone, and any other by the row beside it as well.
    """
    return Steps(
        previous=_step(page - 1, per_page, "before", ids[:1]) if page > 1 else None,
        next=_step(page + 1, per_page, "after", ids[-1:]) if len(ids) == per_page else None,
    )


def _step(page: int, per_page: int, side: str, row: Sequence[Any]) -> dict[str, Any] | None:
    parameters: dict[str, Any] = {"page": page, "after": None, "before": None}
    if page * per_page <= NUMBERED_UP_TO:
        return parameters
    return parameters | {side: row[0]} if row else None
