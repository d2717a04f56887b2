"""The peer of /api/products: Starlette and a driver, the same two queries, the same JSON; nothing else."""

from __future__ import annotations

import asyncio
import math
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

CONNECTIONS = 5  # FastOpp's pool on LeapCell: 2 and 3 more

SUMMARY = """
    select category, count(*), count(*) filter (where in_stock), sum(price), min(price), max(price)
    from products group by category order by count(*) desc, category
"""
PAGE = """
    select id, name, description, price, category, in_stock, created_at
    from products order by lower(name) nulls last, id limit {} offset {}
"""

Fetch = Callable[[Any, str], Awaitable[list[Any]]]


def endpoint(fetch: Fetch, as_uuid: Callable[[Any], str], as_time: Callable[[Any], str]) -> Callable[..., Any]:
    """The handler over one driver; the last two turn what it calls a UUID and a time into text."""

    async def products(request: Request) -> JSONResponse:
        page, per_page = int(request.query_params.get("page", 1)), int(request.query_params["per_page"])
        pool: asyncio.Queue[Any] = request.app.state.pool
        connection = await pool.get()
        try:
            summary = await fetch(connection, SUMMARY)
            rows = await fetch(connection, PAGE.format(per_page, (page - 1) * per_page))
        finally:
            pool.put_nowait(connection)
        total, in_stock = sum(row[1] for row in summary), sum(row[2] for row in summary)
        return JSONResponse(
            {
                "products": [
                    {
                        "id": as_uuid(row[0]),
                        "name": row[1],
                        "description": row[2],
                        "price": row[3],
                        "category": row[4],
                        "in_stock": bool(row[5]),
                        "created_at": as_time(row[6]),
                    }
                    for row in rows
                ],
                "categories": [{"category": row[0], "count": row[1]} for row in summary],
                "stats": {
                    "avg_price": round(sum(row[3] for row in summary) / total, 2),
                    "min_price": min(row[4] for row in summary),
                    "max_price": max(row[5] for row in summary),
                    "total_products": total,
                },
                "stock": {"total": total, "in_stock": in_stock, "out_of_stock": total - in_stock},
                "page": page,
                "per_page": per_page,
                "pages": math.ceil(total / per_page),
                "matching": total,
                "database_available": True,
            }
        )

    return products


def application(handler: Callable[..., Any], connect: Callable[[], Awaitable[Any]]) -> Starlette:
    """Starlette with a pool of connections in a queue."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.pool = asyncio.Queue()
        connections = [await connect() for _ in range(CONNECTIONS)]
        for connection in connections:
            app.state.pool.put_nowait(connection)
        yield
        for connection in connections:
            await connection.close()

    return Starlette(routes=[Route("/api/products", handler)], lifespan=lifespan)


def on_sqlite() -> Starlette:
    """Over aiosqlite."""
    import aiosqlite  # noqa: PLC0415 - the other peer needs none

    async def connect() -> aiosqlite.Connection:
        connection = await aiosqlite.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"))
        await connection.execute("PRAGMA journal_mode=WAL")
        return connection

    async def fetch(connection: aiosqlite.Connection, query: str) -> list[Any]:
        return list(await connection.execute_fetchall(query))

    return application(
        endpoint(fetch, lambda text: str(uuid.UUID(text)), lambda text: f"{text}Z".replace(" ", "T")), connect
    )


def on_postgresql() -> Starlette:
    """Over psycopg, without prepared statements as a transaction pooler needs it."""
    import psycopg  # noqa: PLC0415 - the other peer needs none

    async def connect() -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None
        )

    async def fetch(connection: psycopg.AsyncConnection, query: str) -> list[Any]:
        return await (await connection.execute(query)).fetchall()

    def as_time(moment: datetime) -> str:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

    return application(endpoint(fetch, str, as_time), connect)
