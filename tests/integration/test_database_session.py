from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import JSON, Column, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.exc import OperationalError as AnyOperationalError
from sqlmodel import Field, MetaData, SQLModel, select

from fastopp.database.engine import create_engine
from fastopp.database.errors import ColumnsMissing, TablesMissing
from fastopp.database.session import Database, DatabaseUnavailable
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.libpq import DatabaseURLError
from tests.services import forks
from tests.services.postgres import Postgres

Open = Callable[..., Database]


class Note(SQLModel, table=True):
    """A row with what the drivers treat differently: times, JSON, nothing."""

    __tablename__ = "session_test_notes"
    metadata = MetaData()  # none of the application's business

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(unique=True)
    body: str | None = None
    written: datetime = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
    extra: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON))


class Remark(SQLModel, table=True):
    """A row that refers to another."""

    __tablename__ = "session_test_remarks"
    metadata = Note.metadata

    id: int | None = Field(default=None, primary_key=True)
    note: int = Field(foreign_key="session_test_notes.id")


@pytest.fixture(scope="module")
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """One database for all tests here; each makes its tables anew."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", "psycopg", "asyncpg", "psycopg behind a pooler", "asyncpg behind a pooler"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, open_database: Open) -> Database:
    driver, _, pooled = request.param.partition(" ")
    if driver == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/test.db")
    else:
        url = request.getfixturevalue("pooler_url" if pooled else "postgres_url")
        opened = open_database(url, driver=driver)
    async with opened.engine.begin() as connection:
        await connection.run_sync(Note.metadata.drop_all)
        await connection.run_sync(Note.metadata.create_all)
    return opened


async def titles(database: Database) -> list[str]:
    async with database.read() as session:
        return list((await session.exec(select(Note.title).order_by(Note.title))).all())


async def test_a_transaction_is_kept_and_its_objects_stay_usable(database: Database) -> None:
    async with database.transaction() as session:
        note = Note(title="kept", extra={"a": [1, None, "ü"]})
        session.add(note)

    assert note.id
    async with database.read() as session:
        found = (await session.exec(select(Note))).one()
    assert (found.title, found.body, found.extra) == ("kept", None, {"a": [1, None, "ü"]})


async def test_an_exception_undoes_everything(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            session.add(Note(title="undone"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await titles(database) == []


async def test_a_handler_may_commit_by_itself_and_go_on(database: Database) -> None:
    async def commit_and_fail() -> None:
        async with database.transaction() as session:
            session.add(Note(title="first"))
            await session.commit()
            session.add(Note(title="second"))
            await session.flush()
            raise KeyError

    with pytest.raises(KeyError):
        await commit_and_fail()
    assert await titles(database) == ["first"]


async def test_what_is_added_to_a_reading_session_is_not_written(database: Database) -> None:
    async with database.read() as session:
        session.add(Note(title="by mistake"))
        await session.exec(select(Note))

    assert await titles(database) == []


async def test_a_reading_session_sees_what_was_committed_meanwhile(database: Database) -> None:
    async with database.read() as session:
        assert (await session.exec(select(Note.title))).all() == []
        async with database.transaction() as other:
            other.add(Note(title="meanwhile"))
        assert (await session.exec(select(Note.title))).all() == ["meanwhile"]


async def test_a_mistake_in_a_query_is_no_outage(database: Database) -> None:
    async def duplicate() -> None:
        async with database.transaction() as session:
            session.add_all([Note(title="same"), Note(title="same")])

    async def misspell() -> None:
        async with database.read() as session:
            await (await session.connection()).execute(text("selct 1"))

    async def orphan() -> None:
        async with database.transaction() as session:
            session.add(Remark(note=12345))

    with pytest.raises(IntegrityError):
        await duplicate()
    with pytest.raises(IntegrityError):
        await orphan()
    with pytest.raises((ProgrammingError, AnyOperationalError)):
        await misspell()
    assert await titles(database) == []


async def test_errors_do_not_show_the_data(database: Database) -> None:
    async def duplicate() -> None:
        async with database.transaction() as session:
            session.add(Note(title="private"))
            session.add(Note(title="private", body="hush-hush"))

    with pytest.raises(IntegrityError) as caught:
        await duplicate()
    assert "hush-hush" not in str(caught.value)


async def test_an_error_of_the_handler_is_left_alone(database: Database) -> None:
    async def time_out() -> None:
        async with database.read() as session:
            await session.exec(select(Note))
            raise TimeoutError("some other service")

    with pytest.raises(TimeoutError, match="some other service"):
        await time_out()


async def test_times_are_right_wherever_the_server_is(database: Database) -> None:
    if database.url.backend == "postgresql" and database.url.query.get("sslmode") != "require":
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.execute(text(f"alter database {database.url.database} set timezone = 'Asia/Kolkata'"))
        await database.dispose()
        async with database.read() as session:
            assert (await (await session.connection()).execute(text("show timezone"))).scalar() == "Asia/Kolkata"
    try:
        elsewhere = datetime(2026, 7, 1, 12, 0, tzinfo=timezone(timedelta(hours=-4)))
        async with database.transaction() as session:
            session.add(Note(title="a", written=elsewhere))
        async with database.read() as session:
            query = select(Note.written).where(Note.written == datetime(2026, 7, 1, 16, 0, tzinfo=UTC))
            found = (await session.exec(query)).one()
        assert found == elsewhere
        assert found.tzinfo is UTC
    finally:
        if database.url.backend == "postgresql":
            reset = text(f"alter database {database.url.database} reset timezone")
            async with database.transaction() as session:
                await (await session.connection()).execute(reset)


async def test_a_cancelled_transaction_is_undone_and_leaves_no_broken_connection(database: Database) -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with database.transaction() as session:
            session.add(Note(title="cancelled"))
            await session.flush()
            started.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])

    assert await titles(database) == []


async def test_writers_wait_for_each_other(database: Database) -> None:
    async def write(worker: int) -> None:
        for number in range(10):
            async with database.transaction() as session:
                # Reading first is what makes a deferred SQLite transaction fail.
                await session.exec(select(Note.id).limit(1))
                session.add(Note(title=f"{worker}-{number}"))

    await asyncio.gather(*map(write, range(5)))

    assert len(await titles(database)) == 50


# SQLite


async def test_sqlite_is_set_up_for_concurrent_requests(tmp_path: Path, open_database: Open) -> None:
    database = open_database(f"sqlite:///{tmp_path}/test.db", timeout=7)
    async with database.read() as session:
        connection = await session.connection()
        found = {
            name: (await connection.execute(text(f"pragma {name}"))).scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }

    assert found == {"journal_mode": "wal", "busy_timeout": 7000, "foreign_keys": 1, "synchronous": 1}


async def test_sqlite_readers_do_not_wait_for_a_writer(tmp_path: Path, open_database: Open) -> None:
    database = open_database(f"sqlite:///{tmp_path}/test.db", timeout=0.5)
    async with database.engine.begin() as connection:
        await connection.run_sync(Note.metadata.create_all)

    async with database.transaction() as session:
        session.add(Note(title="not yet"))
        await session.flush()
        assert await titles(database) == []


async def test_sqlite_locked_by_another_process_is_an_outage(tmp_path: Path, open_database: Open) -> None:
    database = open_database(f"sqlite:///{tmp_path}/test.db", timeout=0.2)
    async with database.engine.begin() as connection:
        await connection.run_sync(Note.metadata.create_all)

    async def write() -> None:
        async with database.transaction() as session:
            session.add(Note(title="late"))

    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        await write()
    other.execute("rollback")
    other.close()

    await write()
    assert await titles(database) == ["late"]


async def test_sqlite_that_cannot_be_opened_is_an_outage(tmp_path: Path, open_database: Open) -> None:
    (tmp_path / "test.db").mkdir()
    database = open_database(f"sqlite:///{tmp_path}/test.db")

    with pytest.raises(DatabaseUnavailable, match="cannot be opened"):
        await titles(database)


def test_sqlite_in_a_folder_that_is_not_there_is_a_mistake_in_the_url(tmp_path: Path, open_database: Open) -> None:
    with pytest.raises(DatabaseURLError, match="folder"):
        open_database(f"sqlite:///{tmp_path}/absent/test.db")


# A process


async def test_from_settings(tmp_path: Path) -> None:
    settings = Settings(
        platform=LOCAL, database_url=SecretStr(f"sqlite:///{tmp_path}/test.db"), db_pool_size=3, db_timeout=4
    )
    database = Database.from_settings(settings)

    async with database.read() as session:
        assert (await (await session.connection()).execute(text("select 1"))).scalar() == 1
    assert database.url.database == f"{tmp_path}/test.db"
    await database.dispose()


FROZEN = """
import asyncio, sys
from fastopp.database import pool
from fastopp.database.engine import create_engine
from fastopp.database.session import Database
from fastopp.settings.database_url import DatabaseURL
from sqlalchemy import text

pool.IDLE_LIMIT = 0.3

async def main():
    url = DatabaseURL.parse(sys.argv[1])
    database = Database(url, create_engine(url, pool_size=2, max_overflow=3, timeout=5))
    for line in sys.stdin:
        async with database.read() as session:
            pid = (await (await session.connection()).execute(text("select pg_backend_pid()"))).scalar()
        print(pid, flush=True)
    await database.dispose()

asyncio.run(main())
"""


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_a_frozen_process_wakes_up_working(driver: str, postgres: Postgres, postgres_url: str) -> None:
    words = ["-c", FROZEN, postgres_url.replace("postgresql", f"postgresql+{driver}", 1)]
    with forks.Program(words, stdin=forks.PIPE, stdout=forks.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout

        def ask() -> int:
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        first = ask()
        os.kill(process.pid, signal.SIGSTOP)
        postgres.execute(f"select pg_terminate_backend({first}, 2000)", "select pg_sleep(0.5)")
        os.kill(process.pid, signal.SIGCONT)
        second, third = ask(), ask()
        process.stdin.close()
        assert process.wait(timeout=10) == 0

    assert first != second == third


async def test_any_number_may_open_a_new_sqlite_file_at_once(tmp_path) -> None:
    """All switch it to a write-ahead log, and SQLite lets one wait for none."""
    for number in range(20):
        url = DatabaseURL.parse(f"sqlite:///{tmp_path}/{number}.db")
        databases = [Database(url, create_engine(url, pool_size=1, max_overflow=0, timeout=10)) for _ in range(6)]

        async def use(database: Database) -> None:
            async with database.transaction() as session:
                await (await session.connection()).execute(text("create table if not exists t (a)"))

        try:
            await asyncio.gather(*(use(database) for database in databases))
        finally:
            for database in databases:
                await database.dispose()


@pytest.mark.parametrize(
    ("statement", "kind", "missing"),
    [
        ("select * from nowhere", TablesMissing, "nowhere"),
        ("select colour from session_test_notes", ColumnsMissing, "colour"),
        ("select n.colour from session_test_notes as n", ColumnsMissing, "n.colour"),
        ("insert into session_test_notes (colour) values ('blue')", ColumnsMissing, "colour"),
    ],
)
async def test_what_is_missing_is_named(
    database: Database, statement: str, kind: type[TablesMissing], missing: str
) -> None:
    with pytest.raises(TablesMissing) as caught:
        async with database.transaction() as session:
            await (await session.connection()).execute(text(statement))
    assert (type(caught.value), caught.value.missing) == (kind, missing)
    assert missing in str(caught.value)
    assert missing not in caught.value.message, "visitors see that"
