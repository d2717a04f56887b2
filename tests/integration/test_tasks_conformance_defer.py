"""Deferring jobs, on every connector."""

from __future__ import annotations

import datetime as dt
import sqlite3
from typing import Any

import aiosqlite
import psycopg
import pytest
from procrastinate import exceptions

from tests.task_conformance import TaskConformance, TaskQueue, utcnow

ODD_ARGUMENTS: list[dict[str, Any]] = [
    {},
    {"text": "naïve 写真 \U0001f600 \" ' \\ \n", "": "empty key"},
    {"number": 2**53 + 1, "huge": 10**30, "fraction": 0.1, "negative": -0.5, "small": 1e-300},
    {"yes": True, "no": False, "nothing": None},
    {"deep": [[[{"a": [1, "2", None, {"b": {}}]}]], []]},
    {"sql": "'); DROP TABLE procrastinate_jobs; --", "format": "%(x)s %s :x ? {y}"},
]


class TestDefer(TaskConformance):
    async def test_a_job_is_as_it_was_deferred(self, queue: TaskQueue) -> None:
        later = utcnow() + dt.timedelta(hours=1)
        job_id = await queue.defer(
            "any.name", {"a": 1}, queue="mail", priority=-7, lock="l", queueing_lock="q", schedule_at=later
        )
        job = await queue.job(job_id)
        assert job.asdict() == {
            "id": job_id,
            "status": "todo",
            "queue": "mail",
            "priority": -7,
            "lock": "l",
            "queueing_lock": "q",
            "task_name": "any.name",
            "task_kwargs": {"a": 1},
            "scheduled_at": later,
            "attempts": 0,
            "abort_requested": False,
            "worker_id": None,
        }

    @pytest.mark.parametrize("arguments", ODD_ARGUMENTS, ids=lambda value: next(iter(value), "none"))
    async def test_arguments_come_back_as_they_were(self, queue: TaskQueue, arguments: dict[str, Any]) -> None:
        job_id = await queue.defer(args=arguments)
        assert (await queue.job(job_id)).task_kwargs == arguments
        taken = await queue.take(job_id)
        assert taken.task_kwargs == arguments
        assert {key: type(value) for key, value in taken.task_kwargs.items()} == {
            key: type(value) for key, value in arguments.items()
        }

    @pytest.mark.parametrize("value", [{1, 2}, b"bytes", float("nan")], ids=["set", "bytes", "nan"])
    async def test_what_is_not_json_is_refused(self, queue: TaskQueue, value: object) -> None:
        queue.skip_memory("keeps whatever it is given")
        with pytest.raises((TypeError, exceptions.ConnectorException)):
            await queue.defer(args={"value": value})
        assert list(await queue.manager.list_jobs_async()) == []

    @pytest.mark.parametrize("text", ["a\0b", "\ud800"], ids=["nul", "surrogate"])
    @pytest.mark.parametrize("name", ["lock", "queueing_lock", "queue"])
    async def test_what_is_no_text_is_refused(self, queue: TaskQueue, name: str, text: str) -> None:
        queue.skip_memory("keeps whatever it is given")
        with pytest.raises((UnicodeEncodeError, exceptions.ConnectorException)):
            await queue.defer(**{name: text})
        assert list(await queue.manager.list_jobs_async()) == []

    async def test_moments_of_any_zone_are_kept_to_the_microsecond(self, queue: TaskQueue) -> None:
        for moment in (
            dt.datetime(2026, 1, 2, 3, 4, 5, 678901, dt.timezone(dt.timedelta(hours=-9, minutes=-30))),
            dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
            dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC),
        ):
            found = (await queue.job(await queue.defer(schedule_at=moment))).scheduled_at
            assert found == moment
            assert found.utcoffset() is not None

    async def test_a_batch_keeps_its_order(self, queue: TaskQueue) -> None:
        batch = [{"number": number} for number in range(250)]
        ids = await queue.app.configure_task("nothing", lock="l").batch_defer_async(*batch)
        assert ids == sorted(set(ids))
        assert [(job.id, job.task_kwargs) for job in await queue.manager.list_jobs_async()] == list(
            zip(ids, batch, strict=True)
        )

    async def test_a_second_waiting_job_with_a_queueing_lock_is_refused(self, queue: TaskQueue) -> None:
        first = await queue.defer(queueing_lock="one")
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock one") as caught:
            await queue.defer(queueing_lock="one")
        cause = caught.value.__cause__
        assert isinstance(cause, exceptions.UniqueViolation)
        assert (cause.constraint_name, cause.queueing_lock) == ("procrastinate_jobs_queueing_lock_idx_v1", "one")
        await queue.defer(queueing_lock="another")
        await queue.take(first)
        assert await queue.defer(queueing_lock="one")

    @pytest.mark.parametrize("there_before", [True, False])
    async def test_a_batch_is_refused_whole(self, queue: TaskQueue, *, there_before: bool) -> None:
        if there_before:
            await queue.defer(queueing_lock="same")
        deferrer = queue.app.configure_task("nothing", queueing_lock="same")
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock same"):
            await deferrer.batch_defer_async({"n": 1}, {"n": 2})
        assert len(list(await queue.manager.list_jobs_async())) == there_before
        await queue.defer()

    # PostgreSQL's NOTIFY takes 63 bytes, of which procrastinate needs 23, so a queue's name may be shorter still.
    @pytest.mark.parametrize(("column", "longest"), [("queue", "é" * 20), ("name", "é" * 128)])
    async def test_too_long_a_name_is_refused(self, queue: TaskQueue, column: str, longest: str) -> None:
        queue.skip_memory("has no limits")
        with pytest.raises(exceptions.ConnectorException):
            await queue.defer(**{"name": "n", column: "x" * 129})
        assert await queue.defer(**{"name": "n", column: longest})

    async def test_events_are_written(self, queue: TaskQueue) -> None:
        queue.skip_memory("keeps no table of events")
        assert await queue.events(await queue.defer()) == ["deferred"]
        later = utcnow() + dt.timedelta(days=1)
        job_id = await queue.defer(schedule_at=later)
        assert await queue.events(job_id) == ["scheduled", "deferred"]
        rows = await queue.query("SELECT at FROM procrastinate_events WHERE job_id = %(id)s ORDER BY id", id=job_id)
        assert rows[0]["at"] == later
        assert abs(rows[1]["at"] - utcnow()) < dt.timedelta(minutes=1)

    async def test_a_plain_insert_defers_a_job(self, queue: TaskQueue) -> None:
        queue.skip_memory("knows no SQL")
        await queue.execute("INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('default', 'nothing')")
        job = await queue.fetch()
        assert job
        assert (job.task_kwargs, job.priority, job.attempts) == ({}, 0, 0)
        assert job.id
        assert await queue.events(job.id) == ["deferred", "started"]


class TestDeferWithoutLoop(TaskConformance):
    def test_synchronously(self, queue: TaskQueue) -> None:
        if queue.backend == "postgresql":
            pytest.skip("an open PsycopgConnector belongs to the event loop that opened it")
        job_id = queue.app.configure_task("nothing", queueing_lock="q").defer(a=1)
        assert [job.id for job in queue.manager.list_jobs(id=job_id)] == [job_id]
        with pytest.raises(exceptions.AlreadyEnqueued):
            queue.app.configure_task("nothing", queueing_lock="q").batch_defer({"a": 2})
        assert queue.manager.get_job_status(job_id).value == "todo"
        assert queue.manager.cancel_job_by_id(job_id)
        assert queue.manager.check_connection()
        assert [row["jobs_count"] for row in queue.manager.list_queues()] == [1]


class TestDeferInATransaction(TaskConformance):
    """With the caller's connection, a job is there if and only if the caller commits."""

    async def test_it_takes_part(self, queue: TaskQueue, request: pytest.FixtureRequest) -> None:
        queue.skip_memory("has no transactions")
        connection: Any
        if queue.backend == "sqlite":
            connection = await aiosqlite.connect(queue.connector.path)
            connection.row_factory = lambda _cursor, row: list(row)  # somebody's own taste
        else:
            url = request.getfixturevalue("procrastinate_url")
            connection = await psycopg.AsyncConnection.connect(url)
        try:
            deferrer = queue.app.configure_task("nothing", connection=connection, queueing_lock="q")
            job_id = await deferrer.defer_async(a=1)
            assert (await queue.manager.get_job_status_async(job_id, connection=connection)).value == "todo"
            await connection.rollback()
            assert list(await queue.manager.list_jobs_async()) == []

            job_id = await deferrer.defer_async(a=2)
            await connection.commit()
            assert (await queue.job(job_id)).task_kwargs == {"a": 2}

            assert await queue.manager.cancel_job_by_id_async(job_id, delete_job=True, connection=connection)
            await connection.rollback()
            assert await queue.status(job_id) == "todo"
            with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock q"):
                await deferrer.defer_async(a=3)
            await connection.rollback()
        finally:
            await connection.close()

    async def test_a_synchronous_connection_too(self, queue: TaskQueue) -> None:
        if queue.backend != "sqlite":
            pytest.skip("an open PsycopgConnector takes asynchronous connections only; in memory there is none")
        connection = sqlite3.connect(queue.connector.path)
        connection.row_factory = sqlite3.Row
        deferrer = queue.app.configure_task("nothing", connection=connection)
        job_id = deferrer.defer()
        assert list(await queue.manager.list_jobs_async()) == []
        connection.commit()
        assert await queue.status(job_id) == "todo"
        assert queue.manager.get_job_status(job_id, connection=connection).value == "todo"
        connection.close()
        with pytest.raises(exceptions.ConnectorException, match="closed database"):
            deferrer.defer()
