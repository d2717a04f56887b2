"""A project with tasks on a database of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from sqlalchemy import text

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.apps import find_apps
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings
from fastopp.tasks.limits import TaskLimits
from tests.services.migrations import ROOT
from tests.services.postgres import USER, Postgres

APP = "tests.services.errands"
SHORT = TaskLimits(heartbeat_interval=0.3, stalled_after=1.5, look_for_stalled=0.5)
"""For workers in processes of their own: a test does not wait half a minute until one counts as dead."""


@asynccontextmanager
async def open_project(
    url: str,
    *,
    make: bool = True,
    clock: Clock = SYSTEM_CLOCK,
    limits: TaskLimits | None = None,
    **variables: str,
) -> AsyncIterator[Runtime]:
    """The runtime of a project with the app `errands`; its database gets the tables."""
    settings = load_settings({"DATABASE_URL": url, **variables}, env_file=Path("/nowhere"))
    if make:
        await migrate.upgrade(settings, folder=ROOT / "alembic")
    async with open_runtime(settings, find_apps([APP]), clock=clock, task_limits=limits) as runtime:
        if make:
            await run_sql(runtime, "CREATE TABLE effects (job BIGINT, attempt INTEGER, name VARCHAR(200))")
        yield runtime


def empty_postgres_database(postgres: Postgres) -> str:
    """The name of a database with the tables, empty but for the users and the sample data; made once, then emptied."""
    name = f"tasks_{os.getpid()}"  # other workers of the run have theirs on the same server
    with psycopg.connect(host=postgres.socket_folder, user="postgres", dbname="postgres") as connection:
        exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if not exists:
        postgres.execute(f"create database {name} owner {USER}")
        asyncio.run(_make(postgres.url(name)))
    emptied = (
        "procrastinate_jobs, procrastinate_events, procrastinate_periodic_defers, procrastinate_workers, task_runs, "
        "task_requests"
    )
    postgres.execute(f"truncate {emptied}, effects restart identity cascade", database=name)
    return name


def make_sqlite_template(folder: Path) -> Path:
    """A file with the tables, to be copied."""
    asyncio.run(_make(f"sqlite:///{folder}/template.db"))
    return folder / "template.db"


def copy_sqlite_template(template: Path, folder: Path) -> str:
    """A fresh copy; its URL."""
    shutil.copy(template, folder / "tasks.db")
    return f"sqlite:///{folder}/tasks.db"


async def _make(url: str) -> None:
    async with open_project(url):
        pass


async def run_sql(runtime: Runtime, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Run a statement in a transaction; its rows."""
    async with runtime.database.transaction() as session:
        result = await (await session.connection()).execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def effects(runtime: Runtime) -> list[str]:
    """What tasks have written, by job and attempt."""
    return [str(name) for (name,) in await run_sql(runtime, "SELECT name FROM effects ORDER BY job, attempt, name")]


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Wait for something that other tasks or processes bring about."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.02)


async def all_alone() -> None:
    """Wait until nothing else runs in this event loop: what was cancelled, and left to itself, has ended."""

    async def alone() -> bool:
        return len(asyncio.all_tasks()) == 1

    await until(alone)
