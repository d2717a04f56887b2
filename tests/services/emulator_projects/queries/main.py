"""An application whose requests compute a little and wait for the database, with a small pool."""

from __future__ import annotations

import os
import time

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

app = FastAPI()
url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://")
engine = create_async_engine(
    url,
    pool_size=int(os.environ["POOL"]),
    max_overflow=0,
    pool_timeout=60,
    connect_args={"prepare_threshold": None},
)


def compute(seconds: float) -> None:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@app.get("/kaithhealth")
async def health() -> str:
    return "ok"


@app.get("/work")
async def work() -> str:
    compute(0.001)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": float(os.environ["QUERY"])})
        compute(0.001)
    return "done"
