"""What the dashboard and the API show: figures over the whole catalogue, and one page of what a filter lets through."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products import repository
from demo.products.repository import PRICE_BANDS, CategorySummary, ProductFilter

CHART_COLOURS = 8  # chart-1 to chart-8 of the style sheet


class Catalogue(NamedTuple):
    """The products of one page and the figures around them."""

    products: list[dict[str, Any]]
    summary: list[CategorySummary]
    page: int
    per_page: int

    @property
    def total(self) -> int:
        """How many products there are."""
        return sum(category.count for category in self.summary)

    @property
    def matching(self) -> int:
        """How many of them the filter lets through, on all pages."""
        return sum(category.matching for category in self.summary)

    @property
    def pages(self) -> int:
        """The number of the last page; 1 when there is nothing."""
        return max(1, math.ceil(self.matching / self.per_page))

    @property
    def in_stock(self) -> int:
        """How many products are in stock."""
        return sum(category.in_stock for category in self.summary)

    @property
    def average_price(self) -> float:
        """In dollars and cents; 0 when there is nothing."""
        return round(sum(category.price_sum for category in self.summary) / self.total, 2) if self.total else 0.0

    @property
    def categories(self) -> list[tuple[str, int]]:
        """Category names and how many products each has, the biggest first; without those that have none."""
        return [(part.category, part.count) for part in self.summary if part.category is not None]

    @property
    def chart(self) -> list[tuple[str, int]]:
        """Categories for the chart: as many as it has colours, the small ones together as `Other`."""
        parts = [(part.category or "Uncategorised", part.count) for part in self.summary]
        if len(parts) <= CHART_COLOURS:
            return parts
        rest = sum(count for _, count in parts[CHART_COLOURS - 1 :])
        return [*parts[: CHART_COLOURS - 1], ("Other", rest)]

    @property
    def bands(self) -> list[tuple[str, int]]:
        """Price bands and how many products each has."""
        counts = [sum(column) for column in zip(*(part.bands for part in self.summary), strict=True)]
        return list(zip(band_labels(PRICE_BANDS), counts or [0] * len(PRICE_BANDS), strict=True))

    def as_json(self) -> dict[str, Any]:
        """The answer of /api/products."""
        return {
            "products": self.products,
            "categories": [{"category": name, "count": count} for name, count in self.categories],
            "stats": {
                "avg_price": self.average_price,
                "min_price": min((part.price_min for part in self.summary), default=0.0),
                "max_price": max((part.price_max for part in self.summary), default=0.0),
                "total_products": self.total,
            },
            "stock": {"total": self.total, "in_stock": self.in_stock, "out_of_stock": self.total - self.in_stock},
            "page": self.page,
            "per_page": self.per_page,
            "pages": self.pages,
            "matching": self.matching,
            "database_available": True,
        }


async def load_catalogue(
    session: AsyncSession, wanted: ProductFilter, *, per_page: int, bands: bool = False
) -> Catalogue:
    """Read one page and the figures, in two round trips. A page after the last has no products."""
    summary = await repository.summarise(session, wanted, bands=bands)
    products = await repository.list_page(session, wanted, per_page=per_page)
    return Catalogue(products, summary, wanted.page, per_page)


def outage(wanted: ProductFilter, reason: str, *, per_page: int) -> dict[str, Any]:
    """The answer of /api/products while the database is down: the same keys, and why they are empty."""
    empty = Catalogue([], [], wanted.page, per_page)
    return empty.as_json() | {"database_available": False, "fallback_message": reason}


def band_labels(edges: Sequence[int]) -> list[str]:
    """`$0-25` … `$500+`."""
    closed = [f"${lower}-{upper}" for lower, upper in pairwise(edges)]
    return [*closed, f"${edges[-1]}+"]
