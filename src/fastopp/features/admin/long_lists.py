"""Lists of the admin that stay fast however many rows a table has.

SQLAdmin counts all rows for each page, and leaves out those before it one by one. Here the count ends at a limit, pages
have numbers up to it, and beyond it a page begins after the last row of the one before.
"""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqladmin.helpers import get_object_identifier
from sqladmin.pagination import PageControl, Pagination
from sqlalchemy import Column, Select, Table, inspect
from sqlalchemy.orm import selectinload
from starlette import status
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fastopp.database.counting import Count, count_matching, count_table
from fastopp.database.keyset import NUMBERED_UP_TO, Key, reversed_order, rows_after
from fastopp.errors import NotFound
from fastopp.features.admin.sessions import current_actor

if TYPE_CHECKING:
    from sqladmin.models import ModelView

BESIDE = 3  # numbers shown before and after a page's own


class PageGone(NotFound):
    """The row at which this page begins is not there any more."""

    hint = "Begin with the first page."


class ShownCount(int):
    """A number of rows that is shown as `about 1000000`."""

    text: str

    def __new__(cls, rows: int, text: str) -> ShownCount:
        """Return the number with its text."""
        made = super().__new__(cls, rows)
        made.text = text
        return made

    def __str__(self) -> str:
        return self.text


class LongPagination(Pagination):
    """The pages beside one of a list that is too long to count."""

    def __init__(self, rows: list[Any], page: int, page_size: int, count: Count, *, more: bool) -> None:
        self.more = more
        reached = (page - 1) * page_size + len(rows) + more
        super().__init__(rows, page, page_size, ShownCount(max(count.rows, reached), str(count)))

    @property
    def has_next(self) -> bool:
        """Whether there are rows after these."""
        return self.more

    def add_pagination_urls(self, base_url: URL) -> None:
        """Add the links: numbers as far as they go, and the pages before and after this one."""
        base_url = base_url.remove_query_params(["after", "before"])
        last = NUMBERED_UP_TO // self.page_size
        for number in range(max(1, self.page - BESIDE), min(self.page + BESIDE, last) + 1):
            if number <= self.page or self.more:
                self._add_page_control(base_url, number)
        if self.page > last:
            self._add_page_control(base_url, self.page)
            self._add_beside(base_url, self.page - 1, last, "before", 0)
        if self.more and self.page >= last:
            self._add_beside(base_url, self.page + 1, last, "after", -1)

    def _add_beside(self, base_url: URL, page: int, last: int, side: str, row: int) -> None:
        if page > last and self.rows:
            key = get_object_identifier(self.rows[row])
            url = str(base_url.include_query_params(page=page, **{side: key}))
            self.page_controls.append(PageControl(page, url))
            self.page_controls.sort(key=lambda control: control.number)


async def list_page(view: ModelView, request: Request) -> Pagination:
    """Return a page of the list that a request asks for. Raises PageGone."""
    page, page_size = _number(view, request, "page", 1), _number(view, request, "pageSize", view.page_size)
    page_size = min(page_size, max(view.page_size_options))
    if page_size < 1:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "Invalid page or pageSize parameter")
    query = view.list_query(request)
    whole = query.whereclause is None and view.model not in current_actor.get().rows
    for relation in view._list_relations:  # noqa: SLF001 - as SQLAdmin's own `list`
        query = query.options(selectinload(relation))
    query = await _filtered(view, request, query)
    query = _sorted(view, view.sort_query(query, request))
    if search := request.query_params.get("search"):
        query = view.search_query(query, search)
    table = cast("Table", inspect(view.model).local_table)
    async with view.session_maker(expire_on_commit=False) as session:
        if whole and query.whereclause is None and not query.get_final_froms()[1:]:
            count = await count_table(session, table)
        else:
            # Attributes, not columns of the table: the rows that an actor may see are those of a model.
            mapper: Any = inspect(view.model)
            keys_of_rows = [mapper.get_property_by_column(column).class_attribute for column in view.pk_columns]
            count = await count_matching(session, query.with_only_columns(*keys_of_rows))
        if count.is_exact:
            page = min(max(page, 1), Pagination.max_page(count.rows, page_size))
            rows = await _rows(session, query.limit(page_size).offset((page - 1) * page_size))
            return Pagination(rows=rows, page=page, page_size=page_size, count=count.rows)
        keys = _keys(view, query)
        given = next((side for side in ("after", "before") if request.query_params.get(side)), None)
        if given is None or keys is None:
            page = min(max(page, 1), NUMBERED_UP_TO // page_size)
            rows = await _rows(session, query.limit(page_size + 1).offset((page - 1) * page_size))
        else:
            query = await _beside(view, session, query, keys, request.query_params[given], backwards=given == "before")
            rows = await _rows(session, query.limit(page_size + 1))
    more = len(rows) > page_size
    rows = rows[:page_size]
    if given == "before" and keys is not None:
        rows, more = rows[::-1], True
    if keys is None and page >= NUMBERED_UP_TO // page_size:
        more = False
    return LongPagination(rows, max(page, 1), page_size, count, more=more)


def _number(view: ModelView, request: Request, name: str, default: int) -> int:
    return view.validate_page_number(request.query_params.get(name), default)


async def _filtered(view: ModelView, request: Request, query: Select[Any]) -> Select[Any]:
    for each in view.get_filters():
        filter_: Any = each
        name = filter_.parameter_name
        value = request.query_params.get(name) or None
        if value is None and not hasattr(filter_, "default_value"):
            continue
        if getattr(filter_, "has_operator", False):
            if operation := request.query_params.get(f"{name}_op"):
                query = await filter_.get_filtered_query(query, operation, value, view.model)
        else:
            query = await filter_.get_filtered_query(query, value, view.model)
    return query


def _sorted(view: ModelView, query: Select[Any]) -> Select[Any]:
    """Settle ties by the view's own order and the key, in the direction of the first column, so that an index helps."""
    keys = _keys(view, query)
    if not keys:
        return query
    present = {key.expression.key for key in keys}
    descending = keys[0].descending
    columns: Any = inspect(view.model).columns
    for name, _ in view._get_default_sort():  # noqa: SLF001 - as SQLAdmin's own `sort_query`
        column: Any = columns.get(getattr(name, "key", name))
        if column is not None and column.key not in present:
            present.add(column.key)
            query = query.order_by(column.desc() if descending else column.asc())
    if any(_is_unique(columns[name]) for name in present if name in columns):
        return query
    for column in view.pk_columns:
        if column.key not in present:
            query = query.order_by(column.desc() if descending else column.asc())
    return query


def _is_unique(column: Any) -> bool:
    return bool(column.unique or column.primary_key) and not column.nullable


def _keys(view: ModelView, query: Select[Any]) -> list[Key] | None:
    """Return the order of a query by columns of the view's own table; None when it is another."""
    keys, table = [], cast("Table", inspect(view.model).local_table)
    for clause in query._order_by_clauses:  # noqa: SLF001 - SQLAlchemy has no public name for it
        element: Any = clause
        descending = getattr(getattr(element, "modifier", None), "__name__", "asc_op") == "desc_op"
        column = getattr(element, "element", element)
        if not isinstance(column, Column) or getattr(column.table, "key", None) != table.key:
            return None
        keys.append(Key(column, descending=descending, nullable=bool(column.nullable), nulls_said=False))
    return keys


async def _beside(
    view: ModelView, session: Any, query: Select[Any], keys: list[Key], row: str, *, backwards: bool
) -> Select[Any]:
    # Where rows without a value are, when no order says so: on PostgreSQL after all others, on SQLite before them.
    high = session.get_bind().dialect.name == "postgresql"
    keys = [key._replace(nulls_last=high is not key.descending) for key in keys]
    found = (await session.execute(view._stmt_by_identifier(row))).scalars().first()  # noqa: SLF001 - as SQLAdmin's own
    if found is None:
        raise PageGone
    mapper: Any = inspect(view.model)
    values = [getattr(found, mapper.get_property_by_column(key.expression).key) for key in keys]
    if backwards:
        keys = reversed_order(keys)
        query = query.order_by(None).order_by(*(key.order() for key in keys))
    return query.where(rows_after(keys, values))


async def _rows(session: Any, query: Select[Any]) -> list[Any]:
    return list((await session.execute(query)).scalars().unique().all())
