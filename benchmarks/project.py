"""A migrated and seeded project on either database, as a server under measurement gets it by its environment."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete
from sqlmodel import insert

from benchmarks.server import ROOT
from demo.products.models import Product
from fastopp.database.engine import create_engine
from fastopp.database.session import Database
from fastopp.settings.database_url import DatabaseURL
from tests.services.postgres import Postgres

BACKENDS = ("SQLite", "PostgreSQL")
DRIVERS = (*BACKENDS, "PostgreSQL, asyncpg")
SECRET_KEY = "b3nchmarks-0nly-K7pQ2vX9mT4wZ8rL5cJ1hY6dF0"
CATEGORIES = ("Books", "Clothing", "Electronics", "Footwear", "Home & Kitchen", "Sports & Fitness")


@asynccontextmanager
async def project(backend: str, *, products: int = 0) -> AsyncIterator[dict[str, str]]:
    """The environment of a project by the rules of a platform that freezes the processor.

    products: take these many products in place of the demo's.
    """
    with tempfile.TemporaryDirectory() as folder, _database(backend, Path(folder)) as url:
        environ = {"DATABASE_URL": url, "UPLOAD_DIR": f"{folder}/uploads", "SECRET_KEY": SECRET_KEY}
        await _seed(environ)
        if products:
            await _replace_products(url, products)
        yield environ | {"FASTOPP_PLATFORM": "leapcell"}


@contextmanager
def _database(backend: str, folder: Path) -> Iterator[str]:
    if backend == "SQLite":
        yield f"sqlite:///{folder}/bench.db"
        return
    with Postgres() as postgres:
        url = postgres.url(postgres.create_database())
        yield url.replace("postgresql://", "postgresql+asyncpg://") if backend.endswith("asyncpg") else url


async def _seed(environ: dict[str, str]) -> None:
    local = environ | {"FASTOPP_PLATFORM": "local", "PATH": "/usr/bin:/bin"}
    process = await asyncio.create_subprocess_exec(sys.executable, "oppdemo.py", "init", cwd=ROOT, env=local, stdout=-3)
    if await process.wait() != 0:
        raise SystemExit("The demo could not be seeded.")


async def _replace_products(url: str, number: int) -> None:
    parsed = DatabaseURL.parse(url)
    database = Database(parsed, create_engine(parsed, pool_size=1, max_overflow=0, timeout=10))
    async with database.transaction() as session:
        await session.exec(delete(Product))
        await session.exec(insert(Product), params=[_product(index) for index in range(number)])
    await database.dispose()


def _product(index: int) -> dict[str, object]:
    return {
        "name": f"Product {index:04}",
        "description": f"The {index}th of many things that nobody knew they needed, in a box of its own.",
        "price": 5 + index * 7 % 900 + 0.5,  # exact in binary, so that sums do not depend on their order
        "category": CATEGORIES[index % len(CATEGORIES)],
        "in_stock": index % 7 != 0,
        "created_at": datetime(2026, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=index, microseconds=index),
    }
