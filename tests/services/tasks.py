"""A project with tasks on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text

from fastopp.apps import find_apps
from fastopp.database import migrate
from fastopp.runtime import Runtime, open_runtime
from fastopp.settings import load_settings
from tests.services.migrations import ROOT

APP = "tests.services.errands"


@asynccontextmanager
async def open_project(url: str, *, make: bool = True, **variables: str) -> AsyncIterator[Runtime]:
    """The runtime of a project with the app `errands`; its database gets the tables."""
    settings = load_settings({"DATABASE_URL": url, **variables}, env_file=Path("/nowhere"))
    if make:
        await migrate.upgrade(settings, folder=ROOT / "alembic")
    async with open_runtime(settings, find_apps([APP])) as runtime:
        if make:
            await run_sql(runtime, "CREATE TABLE effects (job BIGINT, attempt INTEGER, name VARCHAR(200))")
        yield runtime


async def run_sql(runtime: Runtime, statement: str, **values: object) -> list[tuple[object, ...]]:
    """Run a statement in a transaction; its rows."""
    async with runtime.database.transaction() as session:
        result = await (await session.connection()).execute(text(statement), values)
        return [tuple(row) for row in result] if result.returns_rows else []


async def effects(runtime: Runtime) -> list[str]:
    """What tasks have written, in no order that counts."""
    return [str(name) for (name,) in await run_sql(runtime, "SELECT name FROM effects ORDER BY job, attempt, name")]
