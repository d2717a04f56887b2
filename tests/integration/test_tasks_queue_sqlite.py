"""What is SQLiteConnector's own: opening and closing, locks, threads, other clients of the file."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import procrastinate
import pytest
from procrastinate import exceptions
from sqlalchemy import JSON, DateTime, column, create_engine, insert, select, table

from fastopp.tasks.queue.sqlite.connector import SQLiteConnector
from tests.task_conformance import TaskQueue, utcnow


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[TaskQueue]:
    queue = TaskQueue("sqlite", SQLiteConnector(tmp_path / "tasks.db", busy_timeout=20))
    async with queue.app.open_async():
        await queue.app.schema_manager.apply_schema_async()
        yield queue


async def test_it_must_be_open(tmp_path: Path) -> None:
    connector = SQLiteConnector(str(tmp_path / "tasks.db"))
    app = procrastinate.App(connector=connector)
    with pytest.raises(exceptions.AppNotOpen):
        await app.check_connection_async()
    with pytest.raises(exceptions.AppNotOpen):
        app.check_connection()
    await connector.close_async()
    for _ in range(2):
        await connector.open_async()
        await connector.open_async()
        assert not await app.check_connection_async()
        await connector.close_async()
        await connector.close_async()
    with pytest.raises(exceptions.AppNotOpen):
        await app.check_connection_async()


def test_without_an_event_loop(tmp_path: Path) -> None:
    app = procrastinate.App(connector=SQLiteConnector(tmp_path / "tasks.db"))
    with app.open():
        app.schema_manager.apply_schema()
        assert app.check_connection()
        assert app.configure_task("t").defer(a=1) == 1
        with pytest.raises(exceptions.NoResult):
            app.job_manager.get_job_status(2)
    app.connector.close()


@pytest.mark.parametrize("path", [":memory:", ""])
def test_a_database_in_memory_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="file"):
        SQLiteConnector(path)


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, though it is long enough to be read as if it were one")
    for name in ("missing/tasks.db", ".", "text.db"):
        with pytest.raises(exceptions.ConnectorException, match="SQLite, "):
            await SQLiteConnector(tmp_path / name).open_async()
    with pytest.raises(exceptions.ConnectorException, match="no pool"):
        await SQLiteConnector(tmp_path / "tasks.db").open_async(object())


async def test_the_schema_is_made_whole_or_not_at_all(queue: TaskQueue) -> None:
    with pytest.raises(exceptions.ConnectorException, match="already exists"):
        await queue.app.schema_manager.apply_schema_async()
    await queue.execute("DROP TABLE procrastinate_events")
    await queue.execute("DROP TABLE procrastinate_periodic_defers")
    with pytest.raises(exceptions.ConnectorException, match="already exists"):
        await queue.app.schema_manager.apply_schema_async()
    tables = await queue.query("SELECT name FROM sqlite_master WHERE name = 'procrastinate_periodic_defers'")
    assert tables == []


async def test_how_it_is_kept(queue: TaskQueue) -> None:
    assert await queue.query("PRAGMA journal_mode") == [{"journal_mode": "wal"}]
    assert await queue.query("PRAGMA synchronous") == [{"synchronous": 1}]
    full = SQLiteConnector(queue.connector.path, synchronous="FULL")
    await full.open_async()
    assert await full.execute_query_one_async("PRAGMA synchronous") == {"synchronous": 2}
    await full.close_async()


async def test_somebody_elses_lock_holds_up_no_event_loop(queue: TaskQueue) -> None:
    other = sqlite3.connect(queue.connector.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    deferring = asyncio.create_task(queue.defer())
    await asyncio.sleep(0.05)
    assert not deferring.done()
    other.execute("ROLLBACK")
    assert await deferring == 1
    other.close()


async def test_a_lock_that_lasts_too_long(queue: TaskQueue) -> None:
    impatient = SQLiteConnector(queue.connector.path, busy_timeout=0.01)
    await impatient.open_async()
    other = sqlite3.connect(queue.connector.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(exceptions.ConnectorException, match=r"tasks\.db: database is locked"):
        await TaskQueue("sqlite", impatient).defer()
    other.execute("ROLLBACK")
    assert await TaskQueue("sqlite", impatient).defer() == 1
    other.close()
    await impatient.close_async()


async def test_json_of_ones_own(tmp_path: Path) -> None:
    def dumps(value: Any) -> str:
        return json.dumps(value, default=lambda other: {"own": str(other)})

    def loads(text: str) -> Any:
        return json.loads(text, object_hook=lambda value: Path(value["own"]) if "own" in value else value)

    connector = SQLiteConnector(tmp_path / "tasks.db", json_dumps=dumps, json_loads=loads)
    queue = TaskQueue("sqlite", connector)
    async with queue.app.open_async():
        await queue.app.schema_manager.apply_schema_async()
        arguments = {"path": Path("/a")}
        assert (await queue.take(await queue.defer(args=arguments))).task_kwargs == arguments


async def test_an_integer_that_sqlite_has_not(queue: TaskQueue) -> None:
    with pytest.raises(exceptions.ConnectorException, match="too large"):
        await queue.manager.list_jobs_async(id=2**64)


async def test_sqlalchemy_reads_and_writes_the_same_moments(queue: TaskQueue) -> None:
    jobs = table(
        "procrastinate_jobs",
        column("queue_name"),
        column("task_name"),
        column("args", JSON),
        column("scheduled_at", DateTime),
    )
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 67)  # noqa: DTZ001 - SQLAlchemy stores UTC without saying so
    engine = create_engine(f"sqlite:///{queue.connector.path}")
    with engine.begin() as connection:
        values = {"queue_name": "q", "task_name": "nothing", "args": {"a": "é"}, "scheduled_at": moment}
        connection.execute(insert(jobs).values(values))
    taken = await queue.take(1)
    assert (taken.task_kwargs, taken.scheduled_at) == ({"a": "é"}, moment.replace(tzinfo=dt.UTC))
    now = utcnow()
    await queue.manager.retry_job(taken, retry_at=now)
    with engine.connect() as connection:
        assert connection.scalar(select(jobs.c.scheduled_at)) == now.replace(tzinfo=None)
    engine.dispose()


async def test_another_process_is_heard(queue: TaskQueue) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(*, channel: str, payload: str) -> None:
        assert channel == "procrastinate_any_queue_v1"
        heard.put_nowait(json.loads(payload))

    listening = asyncio.create_task(queue.connector.listen_notify(hear, ["procrastinate_any_queue_v1"]))
    async with asyncio.timeout(20):
        while heard.empty():
            await queue.defer()
            await asyncio.sleep(0.05)
        last = (await queue.query("SELECT max(id) AS id FROM procrastinate_jobs"))[0]["id"]
        program = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1])\n"
            "c.execute(\"INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('q', 't')\"); c.commit()"
        )
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, queue.connector.path], check=True)
        while (await heard.get()) != {"type": "job_inserted", "job_id": last + 1}:
            pass
    listening.cancel()
    await asyncio.wait([listening])


async def test_listening_where_there_are_no_tables(tmp_path: Path) -> None:
    async def hear(*, channel: str, payload: str) -> None:
        raise AssertionError((channel, payload))

    connector = SQLiteConnector(tmp_path / "tasks.db")
    with pytest.raises(exceptions.ConnectorException, match="no such table"):
        await asyncio.wait_for(connector.listen_notify(hear, ["procrastinate_any_queue_v1"]), 20)
