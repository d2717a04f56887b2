"""FastAPI with SQLAlchemy's ORM and a driver: what a database application costs before it has a page."""

from __future__ import annotations

import os
import uuid

from fastapi import FastAPI
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str]


def hello() -> FastAPI:
    """A FastAPI hello that asks the database one thing."""
    url = os.environ["DATABASE_URL"].replace("sqlite://", "sqlite+aiosqlite://")
    engine = create_async_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    application = FastAPI()

    @application.get("/")
    async def say_hello() -> dict[str, int]:
        async with AsyncSession(engine) as session:
            return {"products": (await session.scalars(select(func.count(Product.id)))).one()}

    return application
