"""Photos and rows on PostgreSQL, where transactions meet; what else can go wrong is in the unit tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.session import Database
from fastopp.storage.evidence import FileEvidence
from fastopp.storage.images import Photo
from fastopp.storage.keys import key_from_url
from fastopp.storage.local import LocalStorage
from fastopp.storage.photos import replace_photo
from fastopp.storage.sweep import remove_leftovers
from tests.storage_conformance import listed

DRIVERS = ("psycopg", "asyncpg")


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "uploads")


@pytest.fixture(params=DRIVERS)
async def database(
    request: pytest.FixtureRequest, postgres_url: str, open_database: Callable[..., Database]
) -> Database:
    database = open_database(postgres_url, driver=request.param)
    async with database.engine.begin() as connection:
        await connection.run_sync(FileEvidence.metadata.tables[FileEvidence.__tablename__].create)
    async with database.transaction() as session:
        await session.exec(text("CREATE TABLE people (id INTEGER PRIMARY KEY, photo_url TEXT)"))
        await session.exec(text("INSERT INTO people VALUES (1, NULL)"))
    return database


async def replace(session: AsyncSession, storage: LocalStorage, content: bytes) -> None:
    old = (await session.exec(text("SELECT photo_url FROM people WHERE id = 1 FOR UPDATE"))).scalar_one()
    url = await replace_photo(session, storage, Photo(content, "image/jpeg", "jpg", 1, 1), old_url=old)
    await session.exec(text("UPDATE people SET photo_url = :url WHERE id = 1").bindparams(url=url))


async def photo_key(database: Database) -> str:
    async with database.read() as session:
        url = (await session.exec(text("SELECT photo_url FROM people WHERE id = 1"))).scalar_one()
    return key_from_url(url) or ""


async def test_many_replace_one_photo_and_some_fail(database: Database, storage: LocalStorage) -> None:
    async def request(number: int) -> None:
        async with database.transaction() as session:
            await replace(session, storage, str(number).encode())
            if number % 3 == 0:
                raise ZeroDivisionError

    outcomes = await asyncio.gather(*(request(number) for number in range(15)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes].count(ZeroDivisionError) == 5
    assert outcomes.count(None) == 10
    key = await photo_key(database)
    assert list(await listed(storage)) == [key]
    assert int(await storage.get(key)) % 3 != 0


async def test_a_connection_lost_before_the_commit_is_answered(database: Database, storage: LocalStorage) -> None:
    async with database.transaction() as session:
        await replace(session, storage, b"old")
    before = await photo_key(database)

    async def lose(session: AsyncSession) -> None:
        await replace(session, storage, b"new")
        pid = (await session.exec(text("SELECT pg_backend_pid()"))).scalar_one()
        async with database.read() as other:
            await other.exec(text(f"SELECT pg_terminate_backend({pid})"))

    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as session:
            await lose(session)
    assert await photo_key(database) == before
    assert await storage.get(before) == b"old"
    await remove_leftovers(database.engine, storage)
    assert list(await listed(storage)) == [before]
