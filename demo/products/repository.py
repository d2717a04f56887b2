"""Every query on products. Columns are selected, not entities: a list is read, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, and_, bindparam, func, true
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp.web.forms import CleanText, EmptyIsNone

MAX_PAGE = 100_000
MAX_PER_PAGE = 1_000

# Lower edges in dollars; the last band has no upper edge.
PRICE_BANDS = (0, 25, 50, 100, 500)

# Columns of the table, not attributes of the entity: one attribute in a query, and the ORM has a hand in every row,
# which takes half as long again.
_COLUMNS: Any = SQLModel.metadata.tables[Product.__tablename__].columns
_LISTED = ("id", "name", "description", "price", "category", "in_stock", "created_at")

_SORTABLE = {
    "name": func.lower(_COLUMNS.name),
    "price": _COLUMNS.price,
    "category": _COLUMNS.category,
    "in_stock": _COLUMNS.in_stock,
    "created_at": _COLUMNS.created_at,
}


Sort = Literal[
    "name", "-name", "price", "-price", "category", "-category", "in_stock", "-in_stock", "created_at", "-created_at"
]


class ProductFilter(BaseModel):
    """Which products, in which order: the parameters that the page and the API share."""

    q: Annotated[CleanText, Field(max_length=100, description="Text in the name or the description.")] = ""
    category: Annotated[CleanText, Field(max_length=50, description="Exactly this category.")] = ""
    in_stock: Annotated[bool | None, EmptyIsNone, Field(description="Only those in stock, or only those not.")] = None
    sort: Annotated[Sort, Field(description="A column; with `-` in front from the highest to the lowest.")] = "name"
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1

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

    def condition(self) -> ColumnElement[bool]:
        """The WHERE clause. Wildcards in the search text are looked for as they are."""
        conditions: list[ColumnElement[bool]] = []
        if self.q:
            text = self.q.strip()
            found = _COLUMNS.name.icontains(text, autoescape=True)
            conditions.append(found | _COLUMNS.description.icontains(text, autoescape=True))
        if self.category:
            conditions.append(_COLUMNS.category == self.category)
        if self.in_stock is not None:
            conditions.append(_COLUMNS.in_stock.is_(self.in_stock))
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
    """How many of them the filter lets through."""
    bands: tuple[int, ...] = ()
    """Products per price band, when asked for."""


async def summarise(session: AsyncSession, wanted: ProductFilter, *, bands: bool = False) -> list[CategorySummary]:
    """The figures of every category over the whole table, in one round trip; the biggest category first."""
    query = _summary_query(bands=bands)
    if wanted.active:
        query = query.add_columns(func.count().filter(wanted.condition()))
    summary = []
    for category, count, in_stock, price_sum, price_min, price_max, *rest in await session.exec(query):
        matching = rest.pop() if wanted.active else count
        summary.append(
            CategorySummary(category, count, in_stock, price_sum, price_min, price_max, matching, tuple(rest))
        )
    return summary


async def list_page(session: AsyncSession, wanted: ProductFilter, *, per_page: int) -> list[dict[str, Any]]:
    """One page of products as dictionaries of their public columns."""
    query = _page_query(wanted.sort)
    if wanted.active:
        query = query.where(wanted.condition())
    place = {"limit": per_page, "offset": (wanted.page - 1) * per_page}
    return [dict(zip(_LISTED, row, strict=True)) for row in await session.exec(query, params=place)]


# Building a statement costs a third of a millisecond, as much as SQLite takes to run it: these are built once.


@cache
def _summary_query(*, bands: bool) -> Any:  # noqa: ANN401 - SQLAlchemy has no type for a list of columns
    count, price = func.count(), _COLUMNS.price
    columns: list[Any] = [
        _COLUMNS.category,
        count,
        count.filter(_COLUMNS.in_stock),
        func.sum(price),
        func.min(price),
        func.max(price),
    ]
    if bands:
        edges = (*PRICE_BANDS, None)
        for lower, upper in pairwise(edges):
            # A price below the first edge would be a mistake; it is counted, not hidden.
            above = price >= lower if lower else true()
            columns.append(count.filter(above if upper is None else and_(above, price < upper)))
    return select(*columns).group_by(_COLUMNS.category).order_by(count.desc(), _COLUMNS.category)


@cache
def _page_query(sort: Sort) -> Any:  # noqa: ANN401 - as above
    column: Any = _SORTABLE[sort.removeprefix("-")]
    direction = column.desc() if sort.startswith("-") else column.asc()
    return (
        select(*(_COLUMNS[name] for name in _LISTED))
        # The id settles ties, so that no row is on two pages.
        .order_by(direction.nulls_last(), _COLUMNS.id)
        .limit(bindparam("limit"))
        .offset(bindparam("offset"))
    )
