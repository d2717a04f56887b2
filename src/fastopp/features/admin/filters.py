"""Filters of the admin's lists."""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

from typing import Any, Final

from sqladmin.filters import AllUniqueStringValuesFilter, get_column_obj
from sqlalchemy import Select, func, inspect, select
from starlette.requests import Request

from fastopp.database.counting import EXACT_UP_TO
from fastopp.features.admin.sessions import current_actor

MOST: Final = 200  # values that a filter offers


class ValuesFilter(AllUniqueStringValuesFilter):
    """A filter that offers the values a text column has now, at most `MOST`.

    An index that begins with the column leads from one value to the next. Without one, and for a user who sees some
    rows only, the values are those of the first rows, so that a large table is not read for each page.
    """

    async def lookups(self, request: Request, model: Any, run_query: Any) -> list[tuple[str, str]]:
        """The values, sorted; rows without one are found under All."""
        column = get_column_obj(self.column, model)
        if _is_indexed(model, column) and model not in current_actor.get().rows:
            query = _from_one_to_the_next(column)
        else:
            some = select(column.label("value")).limit(EXACT_UP_TO).subquery()
            query = select(some.c.value).distinct().limit(MOST)
        values = [value for (value,) in await run_query(query) if value]
        return [("__all", "All"), *((value, value) for value in sorted(set(values) - {"__all"}))]


def _is_indexed(model: Any, column: Any) -> bool:
    table: Any = inspect(model).local_table
    name = column.key
    return any(next(iter(index.expressions)) is table.c.get(name) for index in table.indexes)


def _from_one_to_the_next(column: Any) -> Select[Any]:
    walk = select(func.min(column).label("value")).cte("walk", recursive=True)
    following = select(func.min(column)).where(column > walk.c.value).scalar_subquery()
    walk = walk.union_all(select(following).where(walk.c.value.is_not(None)))
    return select(walk.c.value).where(walk.c.value.is_not(None)).limit(MOST)
