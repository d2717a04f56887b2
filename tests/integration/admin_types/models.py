"""Tables with text for keys, relations to them, and a column of every type."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel.sql.sqltypes import UTCDateTime


class Base(DeclarativeBase):
    metadata = sa.MetaData()


class Mood(enum.Enum):
    good = "Good"
    bad = "Bad"


class Shelf(Base):
    __tablename__ = "types_shelves"
    code: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    books: Mapped[list[Book]] = relationship(back_populates="shelf")

    def __str__(self) -> str:
        return f"Shelf {self.code}"


tags = sa.Table(
    "types_book_tags",
    Base.metadata,
    sa.Column("book", sa.ForeignKey("types_books.isbn"), primary_key=True),
    sa.Column("tag", sa.ForeignKey("types_tags.name"), primary_key=True),
)


class Tag(Base):
    __tablename__ = "types_tags"
    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)

    def __str__(self) -> str:
        return f"Tag {self.name}"


class Book(Base):
    __tablename__ = "types_books"
    isbn: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    extra: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON().with_variant(JSONB(), "postgresql"))
    shelf_code: Mapped[str | None] = mapped_column(sa.ForeignKey("types_shelves.code"))
    shelf: Mapped[Shelf | None] = relationship(back_populates="books")
    tags: Mapped[list[Tag]] = relationship(secondary=tags)

    def __str__(self) -> str:
        return f"Book {self.isbn}"


class Every(Base):
    __tablename__ = "types_every"
    id: Mapped[int] = mapped_column(primary_key=True)
    small: Mapped[int | None] = mapped_column(sa.SmallInteger)
    integer: Mapped[int | None]
    big: Mapped[int | None] = mapped_column(sa.BigInteger)
    float: Mapped[float | None]
    numeric: Mapped[Decimal | None] = mapped_column(sa.Numeric(6, 2))
    boolean: Mapped[bool | None]
    string: Mapped[str | None] = mapped_column(sa.String(5))
    text: Mapped[str | None] = mapped_column(sa.Text)
    date: Mapped[dt.date | None]
    time: Mapped[dt.time | None]
    naive: Mapped[dt.datetime | None]
    aware: Mapped[dt.datetime | None] = mapped_column(UTCDateTime)
    interval: Mapped[dt.timedelta | None]
    uuid: Mapped[uuid.UUID | None]
    enum: Mapped[Mood | None]
    json: Mapped[Any | None] = mapped_column(sa.JSON)
    binary: Mapped[bytes | None]
