from __future__ import annotations

from sqlalchemy import Table
from sqlmodel import Field, SQLModel

from fastopp.storage.references import uploads_under


class Book(SQLModel, table=True):
    """A book with a cover that no column claims, and a portrait of its author that one does."""

    __tablename__ = "books_of_tests"

    id: int | None = Field(default=None, primary_key=True)
    cover_url: str | None = None
    portrait_url: str | None = Field(default=None, sa_column_kwargs=uploads_under("photos/"))


TABLE: Table = SQLModel.metadata.tables[Book.__tablename__]
SQLModel.metadata.remove(TABLE)  # other tests compare all tables there with the migrations
