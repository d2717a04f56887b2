"""Lists and counts of jobs, and the shape of every answer; on every connector."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from procrastinate import sql

from tests.task_conformance import TaskConformance, TaskQueue, utcnow

NO_JOBS = {"todo": 0, "doing": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "aborted": 0}

JOB: dict[str, type] = {
    "id": int,
    "status": str,
    "task_name": str,
    "priority": int,
    "lock": str,
    "queueing_lock": str,
    "args": dict,
    "scheduled_at": dt.datetime,
    "queue_name": str,
    "attempts": int,
    "worker_id": int,
}


async def fill(queue: TaskQueue) -> dict[str, int]:
    """Jobs of several queues, tasks, locks and states; their ids by a name for each."""
    worker = await queue.manager.register_worker()
    ids = {"failed": await queue.defer(queue="a", name="fail", lock="x")}
    await queue.finish(await queue.take(ids["failed"], worker), "failed")
    ids["done"] = await queue.defer(queue="b", lock="x")
    await queue.finish(await queue.take(ids["done"], worker))
    ids["running"] = await queue.defer(queue="a", lock="y", queueing_lock="k")
    await queue.take(ids["running"], worker)
    ids["waiting"] = await queue.defer(queue="a", queueing_lock="k")
    ids["other"] = await queue.defer(queue="c", name="fail", lock="x", queueing_lock="m")
    return ids


def counted(name: str, **counts: int) -> dict[str, Any]:
    return {"name": name, "jobs_count": sum(counts.values())} | NO_JOBS | counts


class TestLists(TaskConformance):
    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, ["failed", "done", "running", "waiting", "other"]),
            ({"queue": "a"}, ["failed", "running", "waiting"]),
            ({"task": "fail"}, ["failed", "other"]),
            ({"status": "todo"}, ["waiting", "other"]),
            ({"status": "aborted"}, []),
            ({"lock": "x"}, ["failed", "done", "other"]),
            ({"queueing_lock": "k"}, ["running", "waiting"]),
            ({"queue": "a", "task": "nothing", "status": "doing", "lock": "y", "queueing_lock": "k"}, ["running"]),
            ({"queue": "'; --"}, []),
        ],
    )
    async def test_jobs(self, queue: TaskQueue, filters: dict[str, Any], expected: list[str]) -> None:
        ids = await fill(queue)
        found = [job.id for job in await queue.manager.list_jobs_async(**filters)]
        assert found == [ids[name] for name in expected]

    async def test_jobs_by_id_and_by_worker(self, queue: TaskQueue) -> None:
        ids = await fill(queue)
        running = await queue.job(ids["running"])
        assert running.worker_id
        found = [job.id for job in await queue.manager.list_jobs_async(worker_id=running.worker_id)]
        assert found == [ids["failed"], ids["done"], ids["running"]]
        assert list(await queue.manager.list_jobs_async(id=ids["other"], queue="a")) == []
        assert list(await queue.manager.list_jobs_async(id=987654321)) == []

    async def test_queues(self, queue: TaskQueue) -> None:
        await fill(queue)
        assert list(await queue.manager.list_queues_async()) == [
            counted("a", failed=1, doing=1, todo=1),
            counted("b", succeeded=1),
            counted("c", todo=1),
        ]
        assert list(await queue.manager.list_queues_async(queue="a", task="fail")) == [counted("a", failed=1)]
        assert list(await queue.manager.list_queues_async(status="todo")) == [
            counted("a", todo=1),
            counted("c", todo=1),
        ]
        assert list(await queue.manager.list_queues_async(lock="y")) == [counted("a", doing=1)]
        assert list(await queue.manager.list_queues_async(lock="nope")) == []

    async def test_tasks(self, queue: TaskQueue) -> None:
        await fill(queue)
        assert list(await queue.manager.list_tasks_async()) == [
            counted("fail", failed=1, todo=1),
            counted("nothing", succeeded=1, doing=1, todo=1),
        ]
        assert list(await queue.manager.list_tasks_async(task="fail", queue="c")) == [counted("fail", todo=1)]
        assert list(await queue.manager.list_tasks_async(status="failed", lock="x")) == [counted("fail", failed=1)]

    async def test_locks(self, queue: TaskQueue) -> None:
        await fill(queue)
        both = [counted("x", failed=1, succeeded=1, todo=1), counted("y", doing=1)]
        if queue.backend == "memory":  # which cannot sort jobs without a lock among the others
            assert list(await queue.manager.list_locks_async(lock="x")) == both[:1]
            return
        assert list(await queue.manager.list_locks_async()) == both
        assert list(await queue.manager.list_locks_async(queue="a", status="doing")) == both[1:]
        assert list(await queue.manager.list_locks_async(task="fail", lock="x")) == [counted("x", failed=1, todo=1)]

    async def test_by_status(self, queue: TaskQueue) -> None:
        queue.skip_memory("has no such query")
        await fill(queue)
        rows = await queue.query(sql.queries["count_jobs_status"])
        assert {row["status"]: row["count"] for row in rows} == {"failed": 1, "succeeded": 1, "doing": 1, "todo": 2}

    async def test_whether_the_tables_are_there(self, queue: TaskQueue) -> None:
        assert await queue.manager.check_connection_async()
        if queue.backend == "memory":
            queue.connector.table_exists = False
        else:
            await queue.execute("ALTER TABLE procrastinate_jobs RENAME TO elsewhere")
        assert not await queue.manager.check_connection_async()
        if queue.backend != "memory":
            await queue.execute("ALTER TABLE elsewhere RENAME TO procrastinate_jobs")


class TestShapes(TaskConformance):
    """What a connector itself answers: names of columns, and types."""

    async def one(self, queue: TaskQueue, name: str, /, **arguments: Any) -> dict[str, Any]:
        row = await queue.connector.execute_query_one_async(sql.queries[name], **arguments)  # type: ignore[literal-required]
        return dict(row)

    async def all(self, queue: TaskQueue, name: str, /, **arguments: Any) -> list[dict[str, Any]]:
        rows = await queue.connector.execute_query_all_async(sql.queries[name], **arguments)  # type: ignore[literal-required]
        return [dict(row) for row in rows]

    def assert_job(self, row: dict[str, Any], expected: dict[str, type]) -> None:
        assert {name: type(row[name]) for name in expected} == expected

    async def test_jobs(self, queue: TaskQueue) -> None:
        past = utcnow() - dt.timedelta(minutes=5)
        await queue.defer(args={"a": 1}, lock="l", queueing_lock="q", schedule_at=past)
        worker = (await self.one(queue, "register_worker"))["worker_id"]
        assert type(worker) is int
        self.assert_job(await self.one(queue, "fetch_job", queues=None, worker_id=worker), JOB)
        nothing = await self.one(queue, "fetch_job", queues=None, worker_id=worker)
        assert set(nothing.values()) == {None}
        if queue.backend != "memory":  # which answers with the id alone
            assert set(nothing) == set(JOB)

        filters = dict.fromkeys(["id", "queue_name", "task_name", "status", "lock", "queueing_lock", "worker_id"])
        (row,) = await self.all(queue, "list_jobs", **filters)
        self.assert_job(row, JOB | {"abort_requested": bool})
        await queue.age_worker(worker, minutes=2)
        await queue.age_events(1, minutes=2)
        stalled = {"queue": None, "task_name": None}
        (row,) = await self.all(queue, "select_stalled_jobs_by_heartbeat", **stalled, seconds_since_heartbeat=30.0)
        self.assert_job(row, JOB)
        (row,) = await self.all(queue, "select_stalled_jobs_by_started", **stalled, nb_seconds=30)
        self.assert_job(row, JOB)
        if queue.backend != "memory":
            assert type(row["started_at"]) is dt.datetime
            assert row["started_at"].utcoffset() is not None

    async def test_answers_of_one_value(self, queue: TaskQueue) -> None:
        job_id = await queue.defer()
        assert await self.one(queue, "get_job_status", job_id=job_id) == {"status": "todo"}
        await queue.take(job_id)
        assert await self.one(queue, "cancel_job", job_id=job_id, abort=False, delete_job=False) == {"id": None}
        assert await self.one(queue, "cancel_job", job_id=job_id, abort=True, delete_job=False) == {"id": job_id}
        assert [row["id"] for row in await self.all(queue, "list_jobs_to_abort", queue_name=None)] == [job_id]
        pruned = await self.all(queue, "prune_stalled_workers", seconds_since_heartbeat=-1.0)
        assert [list(row) for row in pruned] == [["worker_id"]]
