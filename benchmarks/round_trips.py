"""Round trips to a PostgreSQL behind TLS and a transaction pooler, beside SQLAlchemy as FastAPI projects set it up."""

from __future__ import annotations

import ssl
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlmodel import SQLModel

from fastopp.database.engine import create_engine
from fastopp.database.session import Database
from fastopp.features.accounts.authenticate import find_signed_in
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import User
from fastopp.features.accounts.tokens import Claims, password_fingerprint
from fastopp.features.accounts.user_sessions import add_session
from fastopp.settings import load_settings
from fastopp.settings.database_url import DatabaseURL
from tests.services.front import Certificates, Network
from tests.services.pooler import Pooler
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres

DRIVERS = ("psycopg", "asyncpg")
DELAY = 0.005  # seconds a round trip takes beyond the real ones
QUERIES = 3
REPEATS = 20
QUERY = text("select cast(:a as int) + cast(:b as int)")

SETTINGS = load_settings({})

Look = Callable[["Sessions"], Awaitable[None]]
Sessions = Callable[[], AbstractAsyncContextManager[Any]]


@dataclass
class Count:
    """Round trips of one kind of work, counted on the wire and by the clock."""

    name: str
    aim: str
    counted: list[int] = field(default_factory=list)
    elapsed: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{mean(self.counted):6.1f} ({median(self.elapsed) / DELAY:4.1f} by the clock)"


async def run() -> None:
    """Print the table."""
    print(f"A network that adds {DELAY * 1000:.0f} ms a round trip, TLS, pgbouncer in transaction mode.")
    print(
        "Round trips counted on the wire, mean; and the time they took, median, over that delay: a busy machine's own"
    )
    print("own time included.")
    print("Peer: SQLAlchemy's defaults, BEGIN and ROLLBACK around a GET, with the settings that its manual gives for a")
    print("pooler.\n")
    print(f"{'':9}{'':28}{'SQLAlchemy':>26}{'FastOpp':>26}{'ratio':>8}{'aim':>9}")
    with (
        tempfile.TemporaryDirectory() as folder,
        Postgres() as postgres,
        Pooler(postgres, Certificates(Path(folder))) as pooler,
    ):
        for driver in DRIVERS:
            login = f"{USER}:{ENCODED_PASSWORD}"
            name = postgres.create_database()
            claims = await _sign_in(postgres.url(name).replace("postgresql://", f"postgresql+{driver}://"))
            peer = await _measure(pooler, login, name, driver, _plain, partial(_read_user, claims))
            ours = await _measure(pooler, login, name, driver, _fastopp, partial(_read_signed_in, claims))
            for theirs, our in zip(peer, ours, strict=True):
                ratio = mean(our.counted) / mean(theirs.counted)
                print(f"{driver:9}{our.name:28}{theirs!s:>26}{our!s:>26}{ratio:8.2f}{our.aim:>9}", flush=True)


async def _measure(
    pooler: Pooler, login: str, database: str, driver: str, open_sessions: Callable[..., Any], look: Look
) -> list[Count]:
    """What the first connection, a GET, a POST and a look at who is signed in cost."""
    first, get, post, signed_in = (
        Count("first connection, one query", "≤ 12"),
        Count(f"GET with {QUERIES} queries", "≤ 3.5"),
        Count(f"POST with {QUERIES} queries", f"≤ {QUERIES + 2.5}"),
        Count("GET, user and session", "≤ 1.5"),
    )
    with Network(pooler.host, pooler.port, delay=DELAY) as network:
        url = f"postgresql+{driver}://{login}@localhost:{network.port}/{database}"

        async def count(where: Count, work: Awaitable[None]) -> None:
            before, began = network.round_trips, time.perf_counter()
            await work
            where.elapsed.append(time.perf_counter() - began)
            where.counted.append(network.round_trips - before)

        for _ in range(3):
            async with open_sessions(url) as (read, write):
                await count(first, _query(read, 1))
                await _query(write, QUERIES)  # not counted: what is asked once
                for _ in range(REPEATS):
                    await count(get, _query(read, QUERIES))
                    await count(post, _query(write, QUERIES))
                    await count(signed_in, look(read))
    return [first, get, post, signed_in]


async def _sign_in(url: str) -> Claims:
    """Create the tables of accounts, an account and a session, and return the claims of its token."""
    database = Database.from_settings(load_settings({"DATABASE_URL": url}))
    tables = [SQLModel.metadata.tables[name] for name in ("users", "sessions")]
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, tables=tables)
    user = User(email="ann@example.com", hashed_password="!")
    async with database.transaction() as session:
        session.add(user)
        await session.flush()
        row = await add_session(session, user, "browser", Client("192.0.2.1"), lifetime=timedelta(hours=1))
    await database.dispose()
    return Claims(user.id, password_fingerprint(user.hashed_password, SETTINGS), row.id)


async def _read_user(claims: Claims, sessions: Sessions) -> None:
    """Read the account alone, as with tokens that cannot be revoked."""
    async with sessions() as session:
        assert await session.get(User, claims.user_id)


async def _read_signed_in(claims: Claims, sessions: Sessions) -> None:
    async with sessions() as session:
        assert await find_signed_in(session, claims, SETTINGS)


async def _query(sessions: Sessions, queries: int) -> None:
    async with sessions() as session:
        for number in range(queries):
            await session.execute(QUERY, {"a": number, "b": 1})


@asynccontextmanager
async def _fastopp(url: str) -> AsyncIterator[tuple[Sessions, Sessions]]:
    """A database with LeapCell's pool."""
    parsed = DatabaseURL.parse(f"{url}?sslmode=require")
    database = Database(parsed, create_engine(parsed, pool_size=2, max_overflow=3, timeout=10))
    yield database.read, database.transaction
    await database.dispose()


@asynccontextmanager
async def _plain(url: str) -> AsyncIterator[tuple[Sessions, Sessions]]:
    """An engine with SQLAlchemy's defaults, a session a request, committed at the end of a POST."""
    engine = _plain_engine(url)

    @asynccontextmanager
    async def write() -> AsyncIterator[AsyncSession]:
        async with AsyncSession(engine) as session:
            yield session
            await session.commit()

    yield lambda: AsyncSession(engine), write
    await engine.dispose()


def _plain_engine(url: str) -> AsyncEngine:
    if "+asyncpg" not in url:
        return create_async_engine(f"{url}?sslmode=require", connect_args={"prepare_threshold": None})
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # sslmode=require
    return create_async_engine(
        url,
        connect_args={
            "ssl": context,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"__asyncpg_{uuid.uuid4()}__",
        },
    )
