"""Keyset paging: the page after a row costs the same wherever the row is, since an index leads to it.

`OFFSET` reads all rows that it leaves out. A keyset page asks for the rows that come after the last one shown, by the
columns of the order, of which the last must be unique.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, false, literal, or_, tuple_

NUMBERED_UP_TO = 10_000  # rows that pages with a number reach, by OFFSET; beyond them a page begins after a row


class Key(NamedTuple):
    """A part of an order."""

    expression: Any
    """A column, or an expression that an index has."""
    descending: bool = False
    nullable: bool = False
    nulls_last: bool = True
    """Whether rows without a value come last in this order."""
    nulls_said: bool = True
    """Whether ORDER BY says so; it need not where an earlier key has separated them."""

    def order(self) -> ColumnElement[Any]:
        """Return the part of ORDER BY."""
        directed: ColumnElement[Any] = self.expression.desc() if self.descending else self.expression.asc()
        if not (self.nullable and self.nulls_said):
            return directed
        return directed.nulls_last() if self.nulls_last else directed.nulls_first()

    def reversed(self) -> Key:
        """Return the opposite."""
        return self._replace(descending=not self.descending, nulls_last=not self.nulls_last)


def reversed_order(keys: Sequence[Key]) -> list[Key]:
    """Return the opposite order, for the page before a row."""
    return [key.reversed() for key in keys]


def rows_after(keys: Sequence[Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition for the rows that come after one with these values."""
    if len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys):
        # One comparison, which both databases answer by an index over all columns.
        columns = [key.expression for key in keys]
        left, right = tuple_(*columns), tuple_(*values, types=[column.type for column in columns])
        return left < right if keys[0].descending else left > right
    ties: ColumnElement[bool] = false()
    for key, value in reversed(list(zip(keys, values, strict=True))):
        ties = or_(_beyond(key, value), and_(_equal(key, value), ties))
    first, value = keys[0], values[0]
    if first.nullable:
        return ties
    # Implied by the rest, and the part that an index answers.
    bound = _bound(first, value)
    return and_(first.expression <= bound if first.descending else first.expression >= bound, ties)


def _beyond(key: Key, value: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a column's
    if value is None:
        return false() if key.nulls_last else key.expression.is_not(None)
    bound = _bound(key, value)
    further: ColumnElement[bool] = key.expression < bound if key.descending else key.expression > bound
    return or_(further, key.expression.is_(None)) if key.nullable and key.nulls_last else further


def _equal(key: Key, value: Any) -> ColumnElement[bool]:  # noqa: ANN401 - as above
    equal: ColumnElement[bool] = key.expression.is_(None) if value is None else key.expression == _bound(key, value)
    return equal


def _bound(key: Key, value: Any) -> ColumnElement[Any]:  # noqa: ANN401 - as above
    # As a parameter: SQLAlchemy compares nothing with the constants true and false.
    return literal(value, key.expression.type)
