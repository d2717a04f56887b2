"""Files are deleted on evidence that they are garbage, never since no row names them; on each database and storage."""

# ruff: noqa: PT012 - a transaction that fails is a block
from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import delete, select

from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError
from fastopp.storage import sweep as sweeping
from fastopp.storage.announced import Limits, TooManyAnnounced, announce
from fastopp.storage.base import StorageUnavailable
from fastopp.storage.disk import TEMPORARY
from fastopp.storage.evidence import FileBeingDeleted, FileEvidence, UploadExpired
from fastopp.storage.keys import key_from_url, new_key
from fastopp.storage.local import LocalStorage
from fastopp.storage.photos import remove_photo, replace_photo, store_photo
from fastopp.storage.sweep import collect, find_unclaimed, remove_unclaimed
from tests.gate import only_full
from tests.integration.covers_app.models import Book
from tests.services.files import age_evidence, evidence, keys, open_books, photo, sweep
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer


@pytest.fixture(params=["sqlite-local", "pooler-tiered", *only_full("sqlite-tiered", "pooler-local")])
async def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runtime]:
    database, _, storage = request.param.partition("-")
    url = f"sqlite:///{tmp_path}/t.db" if database == "sqlite" else request.getfixturevalue("pooler_url")
    environ = {}
    if storage == "tiered":
        rclone: RcloneServer = request.getfixturevalue("rclone")
        environ = {
            "STORAGE_TYPE": "s3", "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY,
            "S3_BUCKET": rclone.create_bucket(), "S3_ENDPOINT_URL": rclone.endpoint,
        }  # fmt: skip
    async with open_books(url, tmp_path, **environ) as opened:
        yield opened


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with open_books(f"sqlite:///{tmp_path}/t.db", tmp_path) as opened:
        yield opened


async def add(runtime: Runtime, *, cover: bool = False, portrait: bool = False) -> tuple[int, str]:
    """Add a book with one file: its id, and the file's key."""
    async with runtime.database.transaction() as session:
        url = await store_photo(session, runtime.storage, photo())
        book = Book(cover_url=url if cover else None, portrait_url=url if portrait else None)
        session.add(book)
        await session.flush()
    assert book.id is not None
    return book.id, key_from_url(url) or ""


async def test_what_no_loaded_model_claims_stays(runtime: Runtime) -> None:
    _, cover = await add(runtime, cover=True)
    stranger = new_key("photos", "jpg")  # as an app that is not loaded, or another program, stored it
    await runtime.storage.put(stranger, b"x", content_type="image/jpeg")
    if isinstance(runtime.storage, LocalStorage):
        for key in (cover, stranger):
            os.utime(runtime.storage.root / key, (1, 1))
    await age_evidence(runtime)
    assert await sweep(runtime) == 0
    assert await keys(runtime) == {cover, stranger}
    assert await evidence(runtime) == {}


async def test_replaced_cleared_and_deleted_files_go_after_the_commit(runtime: Runtime) -> None:
    cover, cover_key = await add(runtime, cover=True)
    portrait, portrait_key = await add(runtime, portrait=True)
    third, third_key = await add(runtime, portrait=True)
    async with runtime.database.transaction() as session:
        book = await session.get_one(Book, cover)
        book.cover_url = await replace_photo(session, runtime.storage, photo(b"2"), old_url=book.cover_url)
        (await session.get_one(Book, portrait)).portrait_url = None
        await session.delete(await session.get_one(Book, third))
        assert await keys(runtime) >= {cover_key, portrait_key, third_key}
    assert await keys(runtime) == {key_from_url(book.cover_url)}
    assert await evidence(runtime) == {}


async def test_what_is_rolled_back_is_no_evidence(runtime: Runtime) -> None:
    book, key = await add(runtime, portrait=True)
    with pytest.raises(ZeroDivisionError):
        async with runtime.database.transaction() as session:
            await store_photo(session, runtime.storage, photo())
            row = await session.get_one(Book, book)
            remove_photo(session, runtime.storage, row.portrait_url)
            await session.delete(row)
            await session.flush()
            raise ZeroDivisionError
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        savepoint = await session.begin_nested()
        await session.delete(row)
        await session.flush()
        await savepoint.rollback()
    assert await evidence(runtime) == {}
    await sweep(runtime)
    assert await keys(runtime) == {key}


async def test_a_file_of_two_rows_goes_with_the_second(runtime: Runtime) -> None:
    first, key = await add(runtime, portrait=True)
    async with runtime.database.transaction() as session:
        second = Book(portrait_url=(await session.get_one(Book, first)).portrait_url)
        session.add(second)
    for book, left in ((first, {key}), (second.id, set[str]())):
        async with runtime.database.transaction() as session:
            await session.delete(await session.get_one(Book, book))
        assert await keys(runtime) == left
        assert await evidence(runtime) == {}


async def test_a_statement_that_bypasses_the_session_leaves_an_unclaimed_file(local: Runtime) -> None:
    _, key = await add(local, portrait=True)
    async with local.database.transaction() as session:
        await session.exec(delete(Book))
    await sweep(local)
    assert await keys(local) == {key}
    assert [file async for file in find_unclaimed(local.database.engine, local.storage)] == [], "it is young"
    os.utime(local.settings.upload_dir / key, (time.time() - 3700,) * 2)
    assert [file.key async for file in find_unclaimed(local.database.engine, local.storage)] == [key]
    assert await remove_unclaimed(local.database.engine, local.storage, [key]) == 1
    assert await keys(local) == set()


async def test_unclaimed_are_neither_named_nor_recorded_nor_reserved(local: Runtime) -> None:
    _, named = await add(local, portrait=True)
    _, cover = await add(local, cover=True)
    async with local.database.transaction() as session:
        remove_photo(session, Broken(local.settings.upload_dir), f"/static/uploads/{new_key('photos', 'jpg')}")
    [recorded] = await evidence(local)
    for key in (recorded, "invoices/a.pdf", "backups/x"):
        await local.storage.put(key, b"x", content_type="image/jpeg")
    for key in await keys(local):
        os.utime(local.settings.upload_dir / key, (1, 1))
    found = {file.key async for file in find_unclaimed(local.database.engine, local.storage)}
    assert found == {cover, "invoices/a.pdf"}
    async with local.database.transaction() as session:  # by the time that a person has agreed, a row names one
        session.add(Book(portrait_url="/static/uploads/invoices/a.pdf"))
    assert await remove_unclaimed(local.database.engine, local.storage, sorted(found)) == 1
    assert await keys(local) == {named, recorded, "invoices/a.pdf", "backups/x"}


class Broken(LocalStorage):
    async def delete(self, key: str) -> None:
        raise StorageUnavailable


async def test_what_could_not_be_deleted_goes_with_the_next_sweep(local: Runtime) -> None:
    book, key = await add(local, cover=True)
    async with local.database.transaction() as session:
        remove_photo(session, Broken(local.settings.upload_dir), (await session.get_one(Book, book)).cover_url)
    with pytest.raises(StorageUnavailable):
        await sweeping.remove_leftovers(local.database.engine, Broken(local.settings.upload_dir))
    assert await keys(local) == {key}
    assert await sweep(local) == 1
    assert (await keys(local), await evidence(local)) == (set(), {})


async def test_a_row_that_names_a_file_again_keeps_it(runtime: Runtime) -> None:
    book, key = await add(runtime, portrait=True)
    broken = Broken(runtime.settings.upload_dir)
    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        url = row.portrait_url
        remove_photo(session, broken, url)
        row.portrait_url = None
    async with runtime.database.transaction() as session:
        (await session.get_one(Book, book)).portrait_url = url
    assert await evidence(runtime) == {}
    await sweep(runtime)
    assert key in await keys(runtime)


async def test_a_row_cannot_name_what_is_being_deleted(runtime: Runtime) -> None:
    book, key = await add(runtime, portrait=True)
    deleting, go_on = asyncio.Event(), asyncio.Event()

    class Slow(LocalStorage):
        async def delete(self, key: str) -> None:
            deleting.set()
            await go_on.wait()

    async with runtime.database.transaction() as session:
        row = await session.get_one(Book, book)
        url = row.portrait_url
        remove_photo(session, Broken(runtime.settings.upload_dir), url)
        row.portrait_url = None
    task = asyncio.create_task(collect(runtime.database.engine, Slow(runtime.settings.upload_dir), [key]))
    await deleting.wait()
    with pytest.raises(FileBeingDeleted):
        async with runtime.database.transaction() as session:
            (await session.get_one(Book, book)).portrait_url = url
    assert await collect(runtime.database.engine, runtime.storage, [key]) == 0, "another sweep has it"
    go_on.set()
    assert await task == 1


async def test_an_upload_that_a_sweep_has_taken_does_not_commit(runtime: Runtime) -> None:
    with pytest.raises(UploadExpired):
        async with runtime.database.transaction() as session:
            url = await store_photo(session, runtime.storage, photo())
            await age_evidence(runtime)
            assert await sweep(runtime) == 1
            session.add(Book(cover_url=url))
    assert await keys(runtime) == set()
    async with runtime.database.read() as session:
        assert (await session.exec(select(Book))).all() == []


async def test_two_instances_sweep_at_once(runtime: Runtime, tmp_path: Path) -> None:
    doomed = [await add(runtime, cover=True) for _ in range(12)]
    kept = [await add(runtime, cover=True) for _ in range(3)]
    broken = Broken(tmp_path)
    async with runtime.database.transaction() as session:
        for book, _ in doomed:
            remove_photo(session, broken, (await session.get_one(Book, book)).cover_url)
    removed = await asyncio.gather(*(sweep(runtime) for _ in range(4)))
    assert sum(removed) == 12
    assert await keys(runtime) == {key for _, key in kept}
    assert await evidence(runtime) == {}


async def test_a_sweep_that_was_frozen_deletes_nothing_late(local: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    book, key = await add(local, cover=True)
    async with local.database.transaction() as session:
        remove_photo(session, Broken(local.settings.upload_dir), (await session.get_one(Book, book)).cover_url)
    monkeypatch.setattr(sweeping, "LEASE", timedelta(seconds=-1))
    assert await collect(local.database.engine, local.storage, [key]) == 0
    assert await keys(local) == {key}


async def test_half_written_files_of_killed_processes_go(local: Runtime) -> None:
    await add(local, cover=True)
    folder = local.settings.upload_dir / "photos"
    before = {path.name for path in folder.iterdir()}
    (folder / f"{TEMPORARY}0123").write_bytes(b"half")
    os.utime(folder / f"{TEMPORARY}0123", (1, 1))
    assert await sweep(local) == 1
    assert {path.name for path in folder.iterdir()} == before


async def test_without_the_table_nothing_is_deleted(local: Runtime) -> None:
    _, key = await add(local, cover=True)
    async with local.database.engine.begin() as connection:
        await connection.run_sync(FileEvidence.metadata.tables[FileEvidence.__tablename__].drop)
    with pytest.raises(FastOppError, match="tables"):
        await sweep(local)
    assert await keys(local) == {key}


@pytest.mark.parametrize("runtime", ["sqlite-local", "pooler-local"], indirect=True)
async def test_announcements_of_one_account_wait_for_each_other(runtime: Runtime) -> None:
    account, limits = uuid.uuid4(), Limits(3, 1000)

    async def announce_one(account: uuid.UUID, size: int) -> None:
        async with runtime.database.engine.begin() as connection:
            await connection.run_sync(
                announce, new_key("files", "jpg"), datetime.now(UTC), account=account, size=size, limits=limits
            )

    outcomes = await asyncio.gather(*(announce_one(account, 300) for _ in range(8)), return_exceptions=True)
    assert outcomes.count(None) == 3
    assert [type(outcome) for outcome in outcomes].count(TooManyAnnounced) == 5
    await announce_one(uuid.uuid4(), 1000)
    with pytest.raises(TooManyAnnounced, match="0, of 0 bytes"):
        await announce_one(uuid.uuid4(), 1001)
