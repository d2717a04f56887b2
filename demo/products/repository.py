"""Every query on products. Columns are selected, not entities: a list is read, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from sqlalchemy import (
    ColumnElement,
    Dialect,
    Integer,
    TypeDecorator,
    Uuid,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    true,
    type_coerce,
)
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp.database.counting import EXACT_UP_TO, Count, count_matching, count_table
from fastopp.database.keyset import NUMBERED_UP_TO, Key, reversed_order, rows_after
from fastopp.errors import BadRequest, NotFound
from fastopp.web.forms import CleanText, EmptyIsNone

MAX_PAGE = 100_000
MAX_PER_PAGE = 1_000
SAMPLE = 4_000  # products that stand for all, where there are more than EXACT_UP_TO

# Lower edges in dollars; the last band has no upper edge.
PRICE_BANDS = (0, 25, 50, 100, 500)

# Columns of the table, not attributes of the entity: one attribute in a query, and the ORM has a hand in every row,
# which takes half as long again.
_TABLE = SQLModel.metadata.tables[Product.__tablename__]
_COLUMNS: Any = _TABLE.columns
_LISTED = ("id", "name", "description", "price", "category", "in_stock", "created_at")


class _TextId(TypeDecorator[Any]):
    """An id as its text on SQLite, which has it as one: no object is made of what is only shown."""

    impl = Uuid
    cache_ok = True

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Return what puts the dashes into 32 digits; PostgreSQL's drivers do it all themselves."""
        if dialect.name != "sqlite":
            return super().result_processor(dialect, coltype)
        return lambda digits: f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


# Ties are settled by columns that an index has too, and at last by the id, so that no row is on two pages.
_BY_NAME, _BY_ID = Key(func.lower(_COLUMNS.name)), Key(_COLUMNS.id)
_SORTABLE = {
    "name": (_BY_NAME, _BY_ID),
    "price": (Key(_COLUMNS.price), _BY_ID),
    "category": (Key(_COLUMNS.category, nullable=True), _BY_NAME, _BY_ID),
    "in_stock": (Key(_COLUMNS.in_stock), _BY_NAME, _BY_ID),
    "created_at": (Key(_COLUMNS.created_at), _BY_ID),
}


Sort = Literal[
    "name", "-name", "price", "-price", "category", "-category", "in_stock", "-in_stock", "created_at", "-created_at"
]


class PageTooFar(BadRequest):
    """There are too many products to count pages that far."""

    hint = "Pass `after`, the id of the last product of the page before, or narrow the search."


class PageGone(NotFound):
    """The product at which this page begins is not there any more."""

    hint = "Begin with the first page."


class ProductFilter(BaseModel):
    """The filter and the order of products: the parameters that the page and the API share."""

    q: Annotated[CleanText, Field(max_length=100, description="Text in the name or the description.")] = ""
    category: Annotated[CleanText, Field(max_length=50, description="Exactly this category.")] = ""
    in_stock: Annotated[bool | None, EmptyIsNone, Field(description="Only those in stock, or only those not.")] = None
    sort: Annotated[Sort, Field(description="A column; with `-` in front from the highest to the lowest.")] = "name"
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    after: Annotated[uuid.UUID | None, Field(description="Begin after this product; `page` does not count.")] = None
    before: Annotated[uuid.UUID | None, Field(description="End before this product, likewise.")] = None

    def as_query(self) -> str:
        """As a query string that names only what differs from the defaults, like `?q=lamp`; empty if nothing does."""
        given = self.model_dump(exclude_defaults=True)
        if "in_stock" in given:
            given["in_stock"] = str(given["in_stock"]).lower()
        return "?" + urlencode(given) if given else ""

    @property
    def active(self) -> bool:
        """Whether it leaves any product out."""
        return bool(self.q or self.category) or self.in_stock is not None

    def condition(self, columns: Any = _COLUMNS) -> ColumnElement[bool]:  # noqa: ANN401 - of a table or a query
        """The WHERE clause. Wildcards in the search text are looked for as they are."""
        conditions: list[ColumnElement[bool]] = []
        if self.q:
            text = self.q.strip()
            found = columns.name.icontains(text, autoescape=True)
            conditions.append(found | columns.description.icontains(text, autoescape=True))
        if self.category:
            conditions.append(columns.category == self.category)
        if self.in_stock is not None:
            conditions.append(columns.in_stock.is_(self.in_stock))
        return and_(true(), *conditions)


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """The figures of one category; `category` is None for products without one."""

    category: str | None
    count: int
    in_stock: int
    price_sum: float
    price_min: float
    price_max: float
    matching: int
    """The number of them that match the filter."""
    bands: tuple[int, ...] = ()
    """Products per price band, when asked for."""


class Summary(NamedTuple):
    """The figures of every category, the biggest first; beyond EXACT_UP_TO products they are estimates."""

    categories: list[CategorySummary]
    total: Count
    matching: Count
    price_min: float = 0.0
    price_max: float = 0.0


async def summarise(session: AsyncSession, wanted: ProductFilter, *, bands: bool = False) -> Summary:
    """The figures of every category over the whole table, in one round trip; of a large table those of a sample."""
    categories = await _summarise(session, wanted, bands=bands)
    if not categories and (counted := await count_table(session, _TABLE, limit=EXACT_UP_TO)):
        return await _estimate(session, wanted, counted, bands=bands)
    total = sum(category.count for category in categories)
    return Summary(
        categories,
        Count(total),
        Count(sum(category.matching for category in categories)),
        min((category.price_min for category in categories), default=0.0),
        max((category.price_max for category in categories), default=0.0),
    )


async def _summarise(
    session: AsyncSession, wanted: ProductFilter | None, *, bands: bool, sample: bool = False
) -> list[CategorySummary]:
    """Return the figures of all products, or of a sample; nothing where all are more than EXACT_UP_TO."""
    active = wanted is not None and wanted.active
    query, columns = _summary_query(bands=bands, sample=sample, texts=active)
    if wanted is not None and active:
        query = query.add_columns(func.count().filter(wanted.condition(columns)))
    summary = []
    limits = {"rows": SAMPLE} if sample else {"exact": EXACT_UP_TO}
    for category, count, in_stock, price_sum, price_min, price_max, *rest in await session.exec(query, params=limits):
        matching = rest.pop() if active else count
        summary.append(
            CategorySummary(category, count, in_stock, price_sum, price_min, price_max, matching, tuple(rest))
        )
    return summary


async def _estimate(session: AsyncSession, wanted: ProductFilter, counted: Count, *, bands: bool) -> Summary:
    """The figures of the products with the lowest ids, which are random, multiplied to those of all products."""
    total = max(counted.rows, EXACT_UP_TO + 1)
    factor = total / SAMPLE
    categories = [
        CategorySummary(
            part.category,
            round(part.count * factor),
            round(part.in_stock * factor),
            part.price_sum * factor,
            part.price_min,
            part.price_max,
            0,
            tuple(round(count * factor) for count in part.bands),
        )
        for part in await _summarise(session, None, bands=bands, sample=True)
    ]
    counted = Count(total, "about")
    matching = counted
    if wanted.active:
        # Regardless of the order of the page: each filter has an index that ends with the name.
        order = [key.order() for key in _keys("name")]
        query: Any = select(literal_column("1")).select_from(_TABLE).where(wanted.condition()).order_by(*order)
        matching = await count_matching(session, query)
    ends = [select(pick(_COLUMNS.price)).scalar_subquery() for pick in (func.min, func.max)]
    lowest, highest = (await session.exec(select(*ends))).one()
    return Summary(categories, counted, matching, lowest, highest)


async def list_page(
    session: AsyncSession, wanted: ProductFilter, *, per_page: int, exact: bool = True
) -> list[dict[str, Any]]:
    """One page of products as dictionaries of their public columns, of a list that is counted exactly or not.

    Raises PageTooFar, PageGone.
    """
    keys, offset = _keys(wanted.sort), (wanted.page - 1) * per_page
    start = wanted.after or wanted.before
    if start is None and offset >= NUMBERED_UP_TO:
        if exact:
            return []
        raise PageTooFar
    query = _page_query(wanted.sort, backwards=wanted.after is None and start is not None)
    if wanted.active:
        query = query.where(wanted.condition())
    if start is not None:
        place = (
            await session.exec(select(*(key.expression for key in keys)).where(_COLUMNS.id == start))
        ).one_or_none()
        if place is None:
            raise PageGone
        query = query.where(rows_after(keys if wanted.after else reversed_order(keys), place))
        offset = 0
    found = await session.exec(query, params={"limit": per_page, "offset": offset})
    rows = [dict(zip(_LISTED, row, strict=True)) for row in found.all()]
    return rows if wanted.after or start is None else rows[::-1]


# Building a statement costs a third of a millisecond, as much as SQLite takes to run it: these are built once.


@cache
def _summary_query(*, bands: bool, sample: bool, texts: bool) -> tuple[Any, Any]:
    """The figures of all products if they are few, or of those with the lowest ids; and the columns for a condition."""
    names = ("category", "price", "in_stock", *(("name", "description") if texts else ()))
    listed = select(*(_COLUMNS[name] for name in names))
    if sample:
        listed = listed.order_by(_COLUMNS.id).limit(bindparam("rows"))
    else:
        # None of many: figures of them would take the longest part of a page, and are not shown.
        exact = bindparam("exact", type_=Integer)
        one_more: Any = select(literal_column("1")).select_from(_TABLE).limit(1).offset(exact)
        listed = listed.limit(select(case((one_more.exists(), 0), else_=exact)).scalar_subquery())
    columns: Any = listed.subquery().columns
    count, price = func.count(), columns.price
    figures: list[Any] = [
        columns.category,
        count,
        count.filter(columns.in_stock),
        func.sum(price),
        func.min(price),
        func.max(price),
    ]
    if bands:
        edges = (*PRICE_BANDS, None)
        for lower, upper in pairwise(edges):
            # A price below the first edge would be a mistake; it is counted, not hidden.
            above = price >= lower if lower else true()
            figures.append(count.filter(above if upper is None else and_(above, price < upper)))
    return select(*figures).group_by(columns.category).order_by(count.desc(), columns.category), columns


@cache
def _page_query(sort: Sort, *, backwards: bool = False) -> Any:  # noqa: ANN401 - a list of columns has no type
    keys = reversed_order(_keys(sort)) if backwards else _keys(sort)
    return (
        select(type_coerce(_COLUMNS.id, _TextId), *(_COLUMNS[name] for name in _LISTED[1:]))
        .order_by(*(key.order() for key in keys))
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )


@cache
def _keys(sort: Sort) -> list[Key]:
    """The order of a list: the whole of it downwards or upwards, so that one index does both."""
    descending = sort.startswith("-")
    keys = [key._replace(descending=descending) for key in _SORTABLE[sort.removeprefix("-")]]
    if sort != "-category":
        return keys
    # Those without a category are last in both directions. PostgreSQL finds them first when it reads backwards, unless
    # the order says so.
    return [Key(_COLUMNS.category.is_(None)), keys[0]._replace(nulls_said=False), *keys[1:]]
