"""Every page and API with 1,000,000 rows in each table, four clients at a time: the 95th percentile of the answers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from itertools import chain
from math import ceil
from typing import NamedTuple

import httpx
import psutil
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.project import BACKENDS, project
from benchmarks.server import Server, compile_byte_code, processor_seconds, serve
from fastopp.database.engine import create_engine, in_autocommit
from fastopp.features.setup.seeding import DEVELOPMENT_PASSWORD
from fastopp.settings.database_url import DatabaseURL
from tests.services.large_walk import ADMIN, EVERYBODY, SUPERUSER
from tests.services.many_rows import fill

ROWS = int(os.environ.get("SCALE_ROWS", "1_000_000"))
CLIENTS = 4
EACH = int(os.environ.get("SCALE_EACH", "5"))  # requests of a client for an address
LIMIT = 150.0  # milliseconds
SHOWN = int(os.environ.get("SCALE_SHOWN", "12"))  # addresses, the slowest ones
PATIENCE = 1800.0  # seconds for one statement that fills a table
ACCEPTED = (200, 302, 303, 307)
SKIPPED = ("/health", "/oppman/invitations")  # 503 where the bucket is not set up; 404 without invitations

_INDEXES = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql LIKE 'CREATE INDEX%'",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
    "AND indexdef NOT LIKE '%UNIQUE%'",
}

# What is lost in a power cut is filled again.
_FASTER = {
    "sqlite": ("PRAGMA synchronous = OFF", "PRAGMA cache_size = -500000", "PRAGMA temp_store = MEMORY"),
    "postgresql": ("SET synchronous_commit = off", "SET maintenance_work_mem = '256MB'"),
}


class Measured(NamedTuple):
    """The answers of one address."""

    address: str
    p95: float
    """Milliseconds."""
    fastest: float
    """Milliseconds: what other work of the machine changes least."""
    processor: float
    """Milliseconds of the server's processor time for a request; the database's on SQLite are among them."""
    database: float
    """Milliseconds of PostgreSQL's processor time for a request, of all its processes."""

    @property
    def work(self) -> float:
        """Milliseconds of processor time altogether."""
        return self.processor + self.database


async def run() -> None:
    """Print the tables."""
    compile_byte_code()
    print(f"{ROWS:,} rows in each table, {CLIENTS} clients, {EACH} requests each; p95 and processor time in ms.\n")
    for backend in BACKENDS:
        if os.environ.get("SCALE_BACKEND", backend) != backend:
            continue
        async with project(backend) as environ:
            await _fill(backend, environ["DATABASE_URL"])
            async with serve("main:app", environ) as server:
                await server.first_answer("/")
                _report(backend, await _measure(server))


async def _fill(backend: str, url: str) -> None:
    """Fill the tables without their indexes, and build those afterwards, which is what a migration does."""
    parsed = DatabaseURL.parse(url)
    engine = create_engine(parsed, pool_size=1, max_overflow=0, timeout=60, statement_timeout=PATIENCE)
    began = time.perf_counter()
    async with in_autocommit(engine).connect() as connection:
        dialect = connection.dialect.name
        for setting in _FASTER[dialect]:
            await connection.exec_driver_sql(setting)
        indexes = (await connection.execute(text(_INDEXES[dialect]))).all()
        keys = await connection.run_sync(_keys)
        rebuilt = [(name, sql) for name, sql in indexes if name not in keys]
        for name, _ in rebuilt:
            await connection.exec_driver_sql(f'DROP INDEX "{name}"')
        await connection.run_sync(lambda sync: fill(sync, ROWS))
        filled = time.perf_counter()
        print(f"{backend:12}filled in {filled - began:.0f} s", flush=True)
        for _, sql in rebuilt:
            await connection.exec_driver_sql(sql)
        built = time.perf_counter()
        print(f"{'':12}{len(rebuilt)} indexes built in {built - filled:.0f} s", flush=True)
        await _analyse(connection)
    await engine.dispose()


def _keys(connection: Connection) -> set[str]:
    """The names of indexes that belong to constraints."""
    if connection.dialect.name == "sqlite":
        return set()
    return set(connection.execute(text("SELECT conname FROM pg_constraint")).scalars())


async def _analyse(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("ANALYZE" if connection.dialect.name == "sqlite" else "VACUUM ANALYZE")


async def _measure(server: Server) -> list[Measured]:
    signed_in: dict[str, str] = {"Accept": "text/html"}
    async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
        form = {"username": "admin@example.com", "password": DEVELOPMENT_PASSWORD}
        answer = await client.post("/login", data=form)
        cookies = [line.partition(";")[0] for line in answer.headers.get_list("set-cookie")]
        signed_in["Cookie"] = "; ".join(cookies)
    return [
        await _measure_address(server, address, {} if address in EVERYBODY else signed_in)
        for address in (*EVERYBODY, *SUPERUSER, *ADMIN)
        if not address.startswith(SKIPPED)
    ]


async def _measure_address(server: Server, address: str, headers: Mapping[str, str]) -> Measured:
    async def client() -> list[float]:
        times = []
        async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=dict(headers)) as asking:
            for _ in range(EACH):
                began = time.perf_counter()
                answer = await asking.get(address)
                times.append((time.perf_counter() - began) * 1000)
                if answer.status_code not in ACCEPTED:
                    print(f"{'':12}{address}: {answer.status_code}", flush=True)
                    break
        return times

    async with httpx.AsyncClient(base_url=server.url, timeout=120, headers=dict(headers)) as first:
        await first.get(address)  # not counted: the page's templates and statements are compiled
    before, databases = server.processor_seconds(), _database_seconds()
    times = sorted(chain.from_iterable(await asyncio.gather(*(client() for _ in range(CLIENTS)))))
    processor = (server.processor_seconds() - before) * 1000 / len(times)
    database = (_database_seconds() - databases) * 1000 / len(times)
    return Measured(address, times[ceil(len(times) * 0.95) - 1], times[0], processor, database)


def _database_seconds() -> float:
    """Return the processor time of PostgreSQL's processes, those that are there."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            if process.name() == "postgres":
                seconds += processor_seconds(process.pid)
        except (psutil.NoSuchProcess, OSError):
            continue
    return seconds


def _report(backend: str, measured: list[Measured]) -> None:
    over = [each for each in measured if each.p95 > LIMIT]
    much = [each for each in measured if each.work > LIMIT]
    middle = sorted(each.p95 for each in measured)[len(measured) // 2]
    print(f"{backend:12}{len(measured)} addresses, {len(over)} over {LIMIT:.0f} ms, median p95 {middle:.0f} ms")
    print(f"{'':12}{len(much)} with more than {LIMIT:.0f} ms of processor time")
    slowest = sorted(measured, key=lambda each: -each.p95)[:SHOWN]
    dearest = sorted(measured, key=lambda each: -each.work)[:SHOWN]
    for title, rows in (("slowest", slowest), ("most processor time", dearest)):
        print(f"\n{'':12}{'p95':>8}{'fastest':>9}{'server':>8}{'database':>10}  {title}")
        for each in rows:
            times = f"{each.p95:8.0f}{each.fastest:9.0f}{each.processor:8.1f}{each.database:10.1f}"
            print(f"{'':12}{times}  {each.address}", flush=True)
