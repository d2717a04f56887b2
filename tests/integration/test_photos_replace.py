"""`photos.replace`: one helper for the photo of any row."""

# ruff: noqa: PT012 - a transaction that fails is a block
from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import delete, update

from fastopp import photos
from fastopp.core.runtime import Runtime
from fastopp.storage.base import StorageUnavailable
from fastopp.storage.images import PhotoNotSupported
from fastopp.storage.keys import key_from_url
from fastopp.storage.photos import RowGone
from fastopp.storage.stored_file import StoredFile
from fastopp.testing import ClientAs, MemoryStorage, Project, Run
from tests.integration.covers_app.models import TABLE, Book
from tests.services.databases import url_on
from tests.services.demo import picture
from tests.services.files import evidence, keys, open_books, sweep

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/files.md").read_text()
EXAMPLE = re.search(r"```python\n(from fastapi import APIRouter, UploadFile.*?)```", DOCS, re.DOTALL)

url = url_on("sqlite", "psycopg")


@pytest.fixture
async def runtime(url: str, tmp_path: Path) -> AsyncIterator[Runtime]:
    async with open_books(url, tmp_path) as opened:
        yield opened


async def add_book(runtime: Runtime, **columns: Any) -> int:
    async with runtime.database.transaction() as session:
        book = Book(**columns)
        await photos.replace(session, runtime.storage, book, "portrait_url", picture("#000000"))
        session.add(book)
    assert book.id is not None
    return book.id


async def portrait_key(runtime: Runtime, book: int) -> str | None:
    async with runtime.database.read() as session:
        return key_from_url((await session.get_one(Book, book)).portrait_url)


@pytest.mark.parametrize("column", ["cover_url", "portrait_url"])
async def test_the_old_photo_goes_with_the_commit(runtime: Runtime, column: str) -> None:
    book = await add_book(runtime)
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        first = await photos.replace(session, runtime.storage, row, column, picture("#111111"))
        assert getattr(row, column) == first
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        second = await photos.replace(session, runtime.storage, row, column, picture("#222222"))
        assert key_from_url(first) in await keys(runtime)
    expected = {key_from_url(second), await portrait_key(runtime, book)}
    assert await keys(runtime) == expected
    assert await evidence(runtime) == {}


async def test_no_connection_is_held_and_the_row_is_read_once(runtime: Runtime) -> None:
    class Watching(MemoryStorage):
        async def put(self, key: str, *data: Any, **options: Any) -> StoredFile:
            assert runtime.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # of pools that count
            async with asyncio.timeout(5), runtime.database.transaction() as other:  # SQLite has one writer at a time
                other.add(Book())
            return await super().put(key, *data, **options)

    book, statements = await add_book(runtime), list[str]()
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        event.listen(
            runtime.database.engine.sync_engine,
            "before_cursor_execute",
            lambda *args: statements.append(args[2]),
        )
        await photos.replace(session, Watching(), row, "cover_url", picture())
    assert [sql.split()[0] for sql in statements if TABLE.name in sql] == ["INSERT", "UPDATE"], statements


async def test_of_many_at_once_the_last_one_stays(runtime: Runtime) -> None:
    book, loaded = await add_book(runtime), asyncio.Barrier(4)

    async def request(number: int) -> None:
        async with runtime.database.read() as reading:
            row = await reading.get_one(Book, book)
        await loaded.wait()
        async with runtime.database.transaction() as session:
            await photos.replace(session, runtime.storage, row, "portrait_url", picture(f"#{number}{number}5566"))

    await asyncio.gather(*(request(number) for number in range(4)))
    assert await keys(runtime) == {await portrait_key(runtime, book)}
    assert await evidence(runtime) == {}


async def test_a_row_that_is_gone_leaves_nothing(runtime: Runtime) -> None:
    book = await add_book(runtime)
    with pytest.raises(RowGone):
        async with runtime.database.transaction() as session:
            row = await session.get_one(Book, book)
            await session.commit()
            async with runtime.database.transaction() as other:
                await other.delete(await other.get_one(Book, book))
            await photos.replace(session, runtime.storage, row, "portrait_url", picture())
    await sweep(runtime)
    assert await keys(runtime) == set()
    assert await evidence(runtime) == {}


async def test_what_is_wrong_with_the_picture_or_the_storage_changes_nothing(runtime: Runtime) -> None:
    class Away(MemoryStorage):
        async def put(self, *args: Any, **options: Any) -> StoredFile:
            raise StorageUnavailable

    book = await add_book(runtime)
    before = await portrait_key(runtime, book)
    for storage, data, error in (
        (runtime.storage, b"no picture", PhotoNotSupported),
        (Away(), picture(), StorageUnavailable),
    ):
        with pytest.raises(error):
            async with runtime.database.transaction() as session:
                row = await session.get_one(Book, book)
                await photos.replace(session, storage, row, "portrait_url", data)
    assert await portrait_key(runtime, book) == before
    assert await keys(runtime) == {before}
    assert await evidence(runtime) == {}


@pytest.mark.parametrize("flushed", [False, True])
async def test_changes_are_never_committed_half(runtime: Runtime, flushed: bool) -> None:
    book = await add_book(runtime)

    async def add(session: Any) -> None:
        session.add(Book())

    async def change(session: Any) -> None:
        (await session.get_one(Book, book)).cover_url = "/x"

    async def remove(session: Any) -> None:
        await session.delete(await session.get_one(Book, book))

    async def state_delete(session: Any) -> None:
        await session.exec(delete(Book))

    async def state_update(session: Any) -> None:
        await session.exec(update(Book).values(cover_url="/x"))

    for work in (add, change, remove, state_delete, state_update):
        with pytest.raises(RuntimeError, match="before the session changes"):
            async with runtime.database.transaction() as session:
                row = await session.get_one(Book, book)
                await work(session)
                if flushed:
                    await session.flush()
                await photos.replace(session, runtime.storage, row, "portrait_url", picture())
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        assert row.cover_url is None
        session.add(Book())
        await session.commit()  # now it may
        await photos.replace(session, runtime.storage, row, "portrait_url", picture())


def test_the_ten_lines_of_the_docs(project: Project, client_as: ClientAs, run: Run) -> None:
    assert EXAMPLE
    assert len([line for line in EXAMPLE[1].splitlines() if line]) <= 10
    names: dict[str, Any] = {"Book": Book}
    exec(EXAMPLE[1], names)

    async def prepare() -> None:
        (await project.application.start()).include_router(names["router"])
        async with project.database.engine.begin() as connection:
            await connection.run_sync(TABLE.create)
        await project.add(Book(id=1))

    run(prepare())
    for colour in ("#111111", "#222222"):
        answer = client_as("staff").post("/books/1/cover", files={"cover": picture(colour)})
        assert answer.status_code == 200, answer.text
        assert client_as("user").get(answer.json()).headers["content-type"] == "image/jpeg"
    (book,) = run(project.all(Book))
    assert book.cover_url == answer.json()
    assert run(keys(project.runtime)) == {key_from_url(book.cover_url)}
