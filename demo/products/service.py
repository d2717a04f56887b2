"""The content of the dashboard and the API: figures of the whole catalogue, and one page of the products that match."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products import repository
from demo.products.repository import PRICE_BANDS, CategorySummary, ProductFilter, Summary
from fastopp.database.counting import Count
from fastopp.database.keyset import NUMBERED_UP_TO
from fastopp.web.paging import Steps, steps

CHART_COLOURS = 8  # chart-1 to chart-8 of the style sheet


class Catalogue(NamedTuple):
    """The products of one page and the figures around them."""

    products: list[dict[str, Any]]
    figures: Summary
    page: int
    per_page: int

    @property
    def summary(self) -> list[CategorySummary]:
        """The figures of each category."""
        return self.figures.categories

    @property
    def total(self) -> int:
        """Return the number of products."""
        return self.figures.total.rows

    @property
    def matching(self) -> int:
        """Return the number of products that match the filter, on all pages."""
        return self.figures.matching.rows

    @property
    def pages(self) -> int:
        """The number of the last page that has one; 1 when there is nothing."""
        matching = self.figures.matching
        rows = matching.rows if matching.is_exact else min(matching.rows, NUMBERED_UP_TO)
        return max(1, math.ceil(rows / self.per_page))

    @property
    def steps(self) -> Steps | None:
        """The pages before and after this one, in a list that is too long to count."""
        if self.figures.matching.is_exact:
            return None
        return steps(self.page, self.per_page, [product["id"] for product in self.products])

    @property
    def in_stock(self) -> int:
        """Return the number of products in stock."""
        return min(sum(category.in_stock for category in self.summary), self.total)

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
        answer = {
            "products": self.products,
            "categories": [{"category": name, "count": count} for name, count in self.categories],
            "stats": {
                "avg_price": self.average_price,
                "min_price": self.figures.price_min,
                "max_price": self.figures.price_max,
                "total_products": self.total,
            },
            "stock": {"total": self.total, "in_stock": self.in_stock, "out_of_stock": self.total - self.in_stock},
            "page": self.page,
            "per_page": self.per_page,
            "pages": self.pages,
            "matching": self.matching,
            "database_available": True,
        }
        if not self.figures.total.is_exact:
            answer["estimated"] = True
            answer["next_after"] = self.products[-1]["id"] if len(self.products) == self.per_page else None
        return answer


async def load_catalogue(
    session: AsyncSession, wanted: ProductFilter, *, per_page: int, bands: bool = False
) -> Catalogue:
    """Read one page and the figures, in two round trips. A page after the last has no products.

    Raises PageTooFar, PageGone: only where there are too many products to count.
    """
    figures = await repository.summarise(session, wanted, bands=bands)
    products = await repository.list_page(session, wanted, per_page=per_page, exact=figures.matching.is_exact)
    return Catalogue(products, figures, wanted.page, per_page)


def outage(wanted: ProductFilter, reason: str, *, per_page: int) -> dict[str, Any]:
    """The answer of /api/products while the database is down: the same keys, and why they are empty."""
    empty = Catalogue([], Summary([], Count(0), Count(0)), wanted.page, per_page)
    return empty.as_json() | {"database_available": False, "fallback_message": reason}


def band_labels(edges: Sequence[int]) -> list[str]:
    """`$0-25` … `$500+`."""
    closed = [f"${lower}-{upper}" for lower, upper in pairwise(edges)]
    return [*closed, f"${edges[-1]}+"]
