"""What the tests of uploaded files share: a project with an app of its own on each database, and evidence made old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlmodel import SQLModel, col, select, update

from fastopp.core.runtime import Runtime, open_runtime
from fastopp.features.setup.seeding import migrate_database
from fastopp.storage.evidence import FileEvidence
from fastopp.storage.images import Photo
from fastopp.storage.sweep import remove_leftovers
from tests.integration.covers_app.models import TABLE
from tests.services.ops_project import settings_of


def photo(content: bytes = b"new") -> Photo:
    """A photo that has been checked."""
    return Photo(content, "image/jpeg", "jpg", 1, 1)


@asynccontextmanager
async def open_books(url: str, folder: Path, **environ: str) -> AsyncIterator[Runtime]:
    """A project with migrated tables and the table of books."""
    async with open_runtime(settings_of(url, folder, environ)) as runtime:
        await migrate_database(runtime)
        async with runtime.database.engine.begin() as connection:
            await connection.run_sync(TABLE.create, checkfirst=True)
        loaded = TABLE.to_metadata(SQLModel.metadata)
        try:
            yield runtime
        finally:
            SQLModel.metadata.remove(loaded)


async def keys(runtime: Runtime) -> set[str]:
    """Every file in the storage."""
    return {file.key async for file in runtime.storage.list()}


async def evidence(runtime: Runtime) -> dict[str, str]:
    """The recorded files with their states."""
    async with runtime.database.read() as session:
        return {row.key: row.state for row in await session.exec(select(FileEvidence))}


async def age_evidence(runtime: Runtime, by: timedelta = timedelta(days=3)) -> None:
    """Make all evidence due, as time does."""
    async with runtime.database.transaction() as session:
        await session.exec(update(FileEvidence).values(due=datetime.now(UTC) - by).where(col(FileEvidence.key) != ""))


async def sweep(runtime: Runtime) -> int:
    """Remove everything that may be removed: how many files."""
    return await remove_leftovers(runtime.database.engine, runtime.storage, clock=runtime.clock)
