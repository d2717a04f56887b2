"""A process is killed between any two steps of replacing a photo and of sweeping: nothing is lost, nothing is left."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from fastopp.core.runtime import Runtime
from fastopp.storage.direct_uploads import announce
from fastopp.storage.evidence import discard
from fastopp.storage.keys import key_from_url
from fastopp.storage.photos import store_photo
from tests.gate import full, only_full
from tests.integration.covers_app.models import Book
from tests.services import forks
from tests.services.files import age_evidence, evidence, keys, open_books, photo, sweep
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer

KILLED = 9

# Dies before the step of that number: each change of a file, each commit and each statement about evidence is one.
WORK = """
import asyncio, os, sys
from pathlib import Path
from sqlalchemy import event
from fastopp.core.runtime import open_runtime
from fastopp.storage import direct_uploads
from fastopp.storage.local import LocalStorage
from fastopp.storage.object import ObjectStorage
from fastopp.storage.photos import remove_photo, store_photo
from fastopp.storage.s3.bucket import Bucket
from sqlmodel import SQLModel
from tests.integration.covers_app.models import TABLE, Book
from tests.services.files import photo, sweep
from tests.services.ops_project import settings_of

url, folder, work, last = sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
environ = dict(word.split("=", 1) for word in sys.argv[5:])
steps = 0

def step(*_):
    global steps
    if steps == last:
        os._exit(9)
    steps += 1

def stepping(method):
    async def stepped(*arguments, **options):
        step()
        result = await method(*arguments, **options)
        step()
        return result
    return stepped

def statement(connection, cursor, statement, *_):
    if "file_evidence" in statement or "books_of_tests" in statement:
        step()

async def main():
    TABLE.to_metadata(SQLModel.metadata)
    async with open_runtime(settings_of(url, folder, environ)) as runtime:
        event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", statement)
        event.listen(runtime.database.engine.sync_engine, "commit", step)
        steps_of = {LocalStorage: ("put", "delete"), Bucket: ("delete",), ObjectStorage: ("copy",)}
        for kind, method in ((kind, method) for kind, methods in steps_of.items() for method in methods):
            setattr(kind, method, stepping(getattr(kind, method)))
        if work.startswith("complete"):
            _, key, ticket = work.split()
            settings, engine = runtime.settings, runtime.database.engine
            await direct_uploads.complete(runtime.storage, settings, engine, key=key, ticket=ticket)
            return
        if work == "sweep":
            await sweep(runtime)
            return
        async with runtime.database.transaction() as session:
            new = await store_photo(session, runtime.storage, photo())
            book = await session.get_one(Book, 1, with_for_update=True)
            remove_photo(session, runtime.storage, book.cover_url)
            book.cover_url = new

asyncio.run(main())
"""


async def run(url: str, folder: Path, work: str, last: int, **environ: str) -> int:
    """Do the work in a process that dies before a step: its exit status, 0 when there were no more steps."""
    variables = [f"{name}={value}" for name, value in environ.items()]
    done = await asyncio.to_thread(forks.run, ["-c", WORK, url, folder, work, str(last), *variables])
    return done.returncode


@pytest.fixture(params=["pooler", *only_full("sqlite")])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/t.db"
    found: str = request.getfixturevalue("pooler_url")
    return found


async def cover(runtime: Runtime) -> str:
    """The key of the book's cover."""
    async with runtime.database.read() as session:
        return key_from_url((await session.exec(select(Book.cover_url).where(Book.id == 1))).one()) or ""


async def test_replacing_a_photo(url: str, tmp_path: Path) -> None:
    async with open_books(url, tmp_path) as runtime:
        stranger = "photos/0123456789abcdef0123456789abcdef.jpg"
        await runtime.storage.put(stranger, b"x", content_type="image/jpeg")
        async with runtime.database.transaction() as session:
            session.add(Book(id=1, cover_url=await store_photo(session, runtime.storage, photo(b"first"))))
        status, last = KILLED, 0
        while status == KILLED:
            status = await run(url, tmp_path, "replace", last)
            now = await cover(runtime)
            assert {now, stranger} <= await keys(runtime), last
            await sweep(runtime)
            assert {now, stranger} <= await keys(runtime), last
            await age_evidence(runtime)
            await sweep(runtime)
            assert await keys(runtime) == {now, stranger}, last
            assert await evidence(runtime) == {}, last
            last += 1
        assert status == 0
        assert last > 12, "the steps were seen"


@full
async def test_sweeping(url: str, tmp_path: Path) -> None:
    async with open_books(url, tmp_path) as runtime:
        async with runtime.database.transaction() as session:
            kept = await store_photo(session, runtime.storage, photo())
            session.add(Book(id=1, portrait_url=kept))
        status, last = KILLED, 0
        while status == KILLED:
            given_up = f"photos/{last:032x}.jpg"
            await runtime.storage.put(given_up, b"x", content_type="image/jpeg")
            # As after a commit whose process was killed at once; a row names the second file again.
            async with runtime.database.engine.begin() as connection:
                await connection.run_sync(discard, [given_up, key_from_url(kept)], datetime.now(UTC))
            status = await run(url, tmp_path, "sweep", last)
            assert key_from_url(kept) in await keys(runtime), last
            await age_evidence(runtime)
            await sweep(runtime)
            assert await evidence(runtime) == {}, last
            assert await keys(runtime) == {key_from_url(kept)}, last
            last += 1
        assert status == 0
        assert last > 5, "the steps were seen"


async def test_completing_a_direct_upload(url: str, tmp_path: Path, rclone: RcloneServer) -> None:
    bucket = rclone.create_bucket()
    environ = {"STORAGE_TYPE": "s3", "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY}
    environ |= {"S3_BUCKET": bucket, "S3_ENDPOINT_URL": rclone.endpoint}
    content = b"\xff\xd8\xff\xe0" + bytes(1000)
    async with open_books(url, tmp_path, **environ) as runtime, httpx.AsyncClient() as browser:
        settings, engine, storage = runtime.settings, runtime.database.engine, runtime.storage
        status, last, complete = KILLED, 0, set[str]()
        while status == KILLED:
            upload = await announce(
                storage, settings, engine, uuid.uuid4(), name="a.jpg", size=len(content), content_type="image/jpeg"
            )
            answer = await browser.put(upload.put.url, content=content, headers=upload.put.headers)
            assert answer.status_code == 200
            status = await run(url, tmp_path, f"complete {upload.key} {upload.ticket}", last, **environ)
            if upload.key not in await evidence(runtime):
                complete.add(upload.key)
            await sweep(runtime)
            await age_evidence(runtime)
            await sweep(runtime)
            assert await evidence(runtime) == {}, last
            assert await keys(runtime) == complete, last
            last += 1
        assert status == 0
        assert last > 8, "the steps were seen"
        assert 0 < len(complete) < last
