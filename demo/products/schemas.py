"""The answer of /api/products, for the OpenAPI document. The answer itself is written without these classes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field


class ProductItem(BaseModel):
    """One product."""

    id: uuid.UUID
    name: str
    description: str | None
    price: float | None
    category: str | None
    in_stock: bool
    created_at: datetime


class CategoryCount(BaseModel):
    """The number of products in a category."""

    category: str
    count: int


class PriceStats(BaseModel):
    """Prices over the whole catalogue, in dollars; zeros when it is empty."""

    avg_price: float | None
    min_price: float | None
    max_price: float | None
    total_products: int


class StockStats(BaseModel):
    """Stock over the whole catalogue."""

    total: int
    in_stock: int
    out_of_stock: int


class ProductList(BaseModel):
    """A page of products, and figures about the whole catalogue."""

    products: list[ProductItem]
    categories: list[CategoryCount]
    stats: PriceStats
    stock: StockStats
    page: int
    per_page: int
    pages: int
    matching: int
    database_available: bool
    estimated: bool | None = Field(None, description="True, or left out: there are too many products to count exactly.")
    next_after: uuid.UUID | None = Field(None, description="With `estimated`: the parameter `after` of the next page.")


class ProductsUnavailable(ProductList):
    """The same keys, empty, while the database does not answer."""

    database_available: Literal[False]
    fallback_message: str


PRODUCTS_OK: dict[str, Any] = {"model": ProductList, "description": "The products"}
PRODUCTS_DOWN: dict[str, Any] = {"model": ProductsUnavailable, "description": "The database does not answer"}
