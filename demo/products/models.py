"""The product table of the database demo."""

import uuid
from datetime import datetime

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fastopp.cache.tags import cache_tags
from fastopp.features.accounts.models import utc_now


class Product(SQLModel, table=True):
    """Something on sale."""

    __tablename__ = "products"
    # For each order of the dashboard and the admin; the id settles ties.
    __table_args__ = (
        Index("ix_products_name", "name", "id"),
        Index("ix_products_name_lower", text("lower(name)"), "id"),
        Index("ix_products_category_name", "category", "name", "id"),
        Index("ix_products_in_stock_name", "in_stock", "name", "id"),
        Index("ix_products_price", "price", "id"),
        Index("ix_products_created_at", "created_at", "id"),
        Index("ix_products_category", "category", text("lower(name)"), "id"),
        Index(
            "ix_products_category_down",
            text("(category IS NULL)"),
            text("category DESC"),
            text("lower(name) DESC"),
            text("id DESC"),
        ),
        Index("ix_products_in_stock", "in_stock", text("lower(name)"), "id"),
        cache_tags("products"),  # each change invalidates what is cached with this tag
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    name: str = Field(max_length=100, nullable=False)
    description: str | None = Field(default=None)
    price: float = Field(nullable=False)
    category: str | None = Field(default=None, max_length=50)
    in_stock: bool = Field(default=True, nullable=False)
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    updated_at: datetime = Field(default_factory=utc_now, nullable=False, sa_column_kwargs={"onupdate": utc_now})

    def __str__(self) -> str:
        return self.name
