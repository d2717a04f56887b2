# ruff: noqa: PT012 - a test may block, for nothing else runs on its loop; a transaction that fails is a block
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.session import Database
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.storage.base import StorageFull, StorageUnavailable, StoredFile
from fastopp.storage.evidence import FileEvidence
from fastopp.storage.file_changes import FileChanges
from fastopp.storage.images import Photo
from fastopp.storage.keys import key_from_url
from fastopp.storage.local import LocalStorage
from fastopp.storage.photos import remove_photo, replace_photo, store_photo
from fastopp.storage.sweep import remove_leftovers
from tests.services import forks
from tests.storage_conformance import listed

OLD = "photos/4f0c1d1e-1111-4222-8333-444455556666.jpg"
OLD_URL = f"/static/uploads/{OLD}"
PHOTO = Photo(b"new", "image/jpeg", "jpg", 1, 1)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    settings = Settings.model_validate({"platform": LOCAL, "database_url": f"sqlite+aiosqlite:///{tmp_path}/test.db"})
    database = Database.from_settings(settings)
    async with database.engine.begin() as connection:
        await connection.run_sync(FileEvidence.metadata.tables[FileEvidence.__tablename__].create)
    async with database.transaction() as session:
        await session.exec(text("CREATE TABLE people (id INTEGER PRIMARY KEY, photo_url TEXT UNIQUE)"))
        # Checked when the transaction is committed, so that COMMIT itself can be made to fail.
        await session.exec(
            text("CREATE TABLE pets (owner INTEGER REFERENCES people(id) DEFERRABLE INITIALLY DEFERRED)")
        )
        await session.exec(text(f"INSERT INTO people VALUES (1, '{OLD_URL}'), (2, '/taken')"))
    yield database
    await database.dispose()


@pytest.fixture
async def storage(tmp_path: Path) -> LocalStorage:
    storage = LocalStorage(tmp_path / "uploads")
    await storage.put(OLD, b"old", content_type="image/jpeg")
    return storage


async def photo_url(database: Database) -> str | None:
    async with database.read() as session:
        url: str | None = (await session.exec(text("SELECT photo_url FROM people WHERE id = 1"))).scalar_one()
        return url


async def change(session: AsyncSession, url: str | None) -> None:
    await session.exec(text("UPDATE people SET photo_url = :url WHERE id = 1").bindparams(url=url))


async def agree(database: Database, storage: LocalStorage, content: bytes) -> None:
    """The row's photo is there, and is the only one."""
    key = key_from_url(await photo_url(database))
    assert key is not None
    assert await storage.get(key) == content
    assert list(await listed(storage)) == [key]


async def test_replace(database: Database, storage: LocalStorage) -> None:
    async with database.transaction() as session:
        url = await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
        await change(session, url)
        assert set(await listed(storage)) == {OLD, key_from_url(url)}, "the old one stays until the commit"
    assert await photo_url(database) == url
    await agree(database, storage, b"new")


async def test_remove(database: Database, storage: LocalStorage) -> None:
    async with database.transaction() as session:
        remove_photo(session, storage, OLD_URL)
        await change(session, None)
        assert list(await listed(storage)) == [OLD]
    assert await listed(storage) == {}


@pytest.mark.parametrize("url", [None, "", "https://images.example.com/a.jpg", "/static/uploads/../test.db"])
async def test_other_addresses_are_left_alone(database: Database, storage: LocalStorage, url: str | None) -> None:
    async with database.transaction() as session:
        remove_photo(session, storage, url)
        await change(session, await replace_photo(session, storage, PHOTO, old_url=url))
    assert len(await listed(storage)) == 2


@pytest.mark.parametrize("before", [True, False])
async def test_a_failure_in_the_handler(database: Database, storage: LocalStorage, before: bool) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as session:
            if before:
                await change(session, "x")
            url = await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
            if before:
                await change(session, url)
            raise ZeroDivisionError
    await agree(database, storage, b"old")


async def test_a_row_that_is_refused(database: Database, storage: LocalStorage) -> None:
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
            await change(session, "/taken")
    await agree(database, storage, b"old")


async def test_a_cancelled_request(database: Database, storage: LocalStorage) -> None:
    stored = asyncio.Event()

    async def request() -> None:
        async with database.transaction() as session:
            await change(session, await replace_photo(session, storage, PHOTO, old_url=OLD_URL))
            stored.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await stored.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await agree(database, storage, b"old")


async def test_a_commit_that_fails_loses_no_file(database: Database, storage: LocalStorage) -> None:
    # It might have been the answer that was lost, so both files must stay; the orphan goes later.
    with pytest.raises(IntegrityError):
        async with database.transaction() as session:
            await change(session, await replace_photo(session, storage, PHOTO, old_url=OLD_URL))
            await session.exec(text("INSERT INTO pets VALUES (77)"))
    assert len(await listed(storage)) == 2
    await sweep_later(database, storage)
    await agree(database, storage, b"old")


async def sweep_later(database: Database, storage: LocalStorage) -> int:
    """Sweep when all evidence is due."""
    async with database.transaction() as session:
        await session.exec(text("UPDATE file_evidence SET due = '2020-01-01 00:00:00.000000'".replace(":", r"\:")))
    return await remove_leftovers(database.engine, storage)


class BrokenDeletes(LocalStorage):
    async def delete(self, key: str) -> None:
        raise StorageUnavailable


async def test_a_storage_that_does_not_delete(
    database: Database, storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    broken = BrokenDeletes(storage.root)
    async with database.transaction() as session:
        url = await replace_photo(session, broken, PHOTO, old_url=OLD_URL)
        await change(session, url)
    assert await photo_url(database) == url, "the answer is a success, for the change was made"
    assert OLD in caplog.text


class FullStorage(LocalStorage):
    async def put(self, key: str, *_: object, **__: object) -> None:  # type: ignore[override]
        raise StorageFull


async def test_a_full_storage(database: Database, storage: LocalStorage) -> None:
    with pytest.raises(StorageFull):
        async with database.transaction() as session:
            await change(session, await replace_photo(session, FullStorage(storage.root), PHOTO, old_url=OLD_URL))
    await agree(database, storage, b"old")


async def test_one_session_with_several_transactions(database: Database, storage: LocalStorage) -> None:
    async with AsyncSession(database.engine) as session:
        first = await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
        await change(session, first)
        await session.rollback()
        assert list(await listed(storage)) == [OLD]

        second = await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
        await change(session, second)
        await session.commit()
        await agree(database, storage, b"new")

        await change(session, "/x")
        await session.rollback()
        await agree(database, storage, b"new")


async def test_a_savepoint_is_refused(database: Database, storage: LocalStorage) -> None:
    async with database.transaction() as session:
        async with session.begin_nested():
            with pytest.raises(RuntimeError, match="savepoint"):
                await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
        url = await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
        async with session.begin_nested():
            await change(session, url)
        assert len(await listed(storage)) == 2, "a savepoint's end is no commit"
    await agree(database, storage, b"new")


async def test_an_autocommit_session_that_only_puts_keeps_nothing(database: Database, storage: LocalStorage) -> None:
    async with database.read() as session:
        await FileChanges.of(session, storage).put("photos/x.jpg", b"x", content_type="image/jpeg")
    assert list(await listed(storage)) == [OLD]


async def test_many_replace_one_photo_at_once(database: Database, storage: LocalStorage) -> None:
    async def replace(number: int) -> None:
        photo = Photo(str(number).encode(), "image/jpeg", "jpg", 1, 1)
        async with database.transaction() as session:
            # The write lock first, as `with_for_update` gives it on PostgreSQL.
            await session.exec(text("UPDATE people SET id = id WHERE id = 1"))
            old = (await session.exec(text("SELECT photo_url FROM people WHERE id = 1"))).scalar_one()
            await change(session, await replace_photo(session, storage, photo, old_url=old))

    await asyncio.gather(*(replace(number) for number in range(12)))
    content = await storage.get(key_from_url(await photo_url(database)) or "")
    await agree(database, storage, content)


CRASHING = """
import asyncio, os, sys
from pathlib import Path
from fastopp.database.session import Database
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.storage.images import Photo
from fastopp.storage.local import LocalStorage
from fastopp.storage.photos import replace_photo

async def main():
    folder = Path(sys.argv[1])
    settings = Settings.model_validate({"platform": LOCAL, "database_url": f"sqlite+aiosqlite:///{folder}/test.db"})
    storage = LocalStorage(folder / "uploads")
    async with Database.from_settings(settings).transaction() as session:
        await replace_photo(session, storage, Photo(b"new", "image/jpeg", "jpg", 1, 1), old_url=sys.argv[2])
        os._exit(9)

asyncio.run(main())
"""


async def test_a_crash_orphans_nothing_for_good(database: Database, storage: LocalStorage, tmp_path: Path) -> None:
    result = forks.run(["-c", CRASHING, tmp_path, OLD_URL])
    assert result.returncode == 9
    assert len(await listed(storage)) == 2
    assert await remove_leftovers(database.engine, storage) == 0, "it is young: its transaction may not have ended"
    assert len(await listed(storage)) == 2
    assert await sweep_later(database, storage) == 1
    await agree(database, storage, b"old")


async def test_a_photo_is_stored_while_no_connection_is_held(database: Database, storage: LocalStorage) -> None:
    class Watching(LocalStorage):
        async def put(self, key: str, *data: Any, **options: Any) -> StoredFile:
            async with asyncio.timeout(5), database.transaction() as other:  # SQLite has one writer at a time
                recorded = (await other.exec(text("SELECT key FROM file_evidence"))).scalars().all()
            assert recorded == [key]
            return await super().put(key, *data, **options)

    async with database.transaction() as session:
        url = await store_photo(session, Watching(storage.root), PHOTO)
        remove_photo(session, storage, OLD_URL)
        await change(session, url)
    await agree(database, storage, b"new")


async def test_within_a_transaction_that_has_begun_a_rollback_removes_the_photo(
    database: Database, storage: LocalStorage, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail_in_a_transaction(storage: LocalStorage) -> None:
        async with database.transaction() as session:
            await change(session, "/x")
            await replace_photo(session, storage, PHOTO, old_url=OLD_URL)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_in_a_transaction(storage)
    await agree(database, storage, b"old")
    with pytest.raises(ZeroDivisionError):
        await fail_in_a_transaction(BrokenDeletes(storage.root))
    assert len(await listed(storage)) == 2
    assert "a sweep will" in caplog.text
    assert await remove_leftovers(database.engine, storage) == 1
    await agree(database, storage, b"old")
