"""Workers' signs of life, stalled jobs, periodic jobs, old jobs; on every connector."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest
from procrastinate import exceptions, jobs

from tests.task_conformance import TaskConformance, TaskQueue


class TestWorkers(TaskConformance):
    async def test_each_has_a_number_of_its_own(self, queue: TaskQueue) -> None:
        first, second = [await queue.manager.register_worker() for _ in range(2)]
        assert first != second
        await queue.manager.unregister_worker(first)
        assert await queue.manager.prune_stalled_workers(0) == [second]
        assert await queue.manager.prune_stalled_workers(0) == []

    async def test_those_without_a_sign_of_life_are_pruned(self, queue: TaskQueue) -> None:
        quick, slow, silent = [await queue.manager.register_worker() for _ in range(3)]
        await queue.age_worker(silent, seconds=100)
        await queue.age_worker(slow, seconds=29)
        assert await queue.manager.prune_stalled_workers(30.5) == [silent]
        await queue.age_worker(slow, seconds=100)
        await queue.manager.update_heartbeat(slow)
        assert await queue.manager.prune_stalled_workers(30) == []
        assert sorted(await queue.manager.prune_stalled_workers(-1)) == [quick, slow]

    @pytest.mark.parametrize("how", ["unregistered", "pruned"])
    async def test_its_jobs_outlive_it(self, queue: TaskQueue, how: str) -> None:
        done, running = [await queue.defer() for _ in range(2)]
        worker = await queue.manager.register_worker()
        await queue.finish(await queue.take(done, worker))
        await queue.take(running, worker)
        if how == "unregistered":
            await queue.manager.unregister_worker(worker)
        else:
            await queue.manager.prune_stalled_workers(0)
        found = await queue.manager.list_jobs_async()
        assert [(job.id, job.status, job.worker_id) for job in found] == [
            (done, "succeeded", None),
            (running, "doing", None),
        ]

    async def test_a_number_is_not_given_twice(self, queue: TaskQueue) -> None:
        queue.skip_memory("gives them again")
        worker, job_id = await queue.manager.register_worker(), await queue.defer()
        await queue.manager.unregister_worker(worker)
        await queue.manager.cancel_job_by_id_async(job_id, delete_job=True)
        assert await queue.manager.register_worker() > worker
        assert await queue.defer() > job_id


class TestStalled(TaskConformance):
    async def stalled(self, queue: TaskQueue, /, **options: Any) -> list[int]:
        return sorted(job.id or 0 for job in await queue.manager.get_stalled_jobs(**options))

    async def test_jobs_whose_worker_gives_no_sign_of_life(self, queue: TaskQueue) -> None:
        alive, silent, gone = [await queue.manager.register_worker() for _ in range(3)]
        ids = [await queue.defer(queue="a"), await queue.defer(name="fail", queue="b"), await queue.defer(queue="b")]
        waiting, done = await queue.defer(), await queue.defer(priority=9)
        await queue.finish(await queue.take(done, silent))
        for job_id, worker in zip(ids, (alive, silent, gone), strict=True):
            await queue.take(job_id, worker)
        assert waiting
        await queue.age_worker(silent, seconds=31)
        await queue.manager.unregister_worker(gone)
        assert await self.stalled(queue) == ids[1:]
        assert await self.stalled(queue, seconds_since_heartbeat=60) == ids[2:]
        assert await self.stalled(queue, seconds_since_heartbeat=-1) == ids
        assert await self.stalled(queue, queue="a") == []
        assert await self.stalled(queue, queue="b", task_name="fail") == ids[1:2]
        (job,) = await queue.manager.get_stalled_jobs(task_name="fail")
        assert (job.status, job.worker_id, job.queue) == ("doing", silent, "b")

    async def test_jobs_that_started_long_ago(self, queue: TaskQueue) -> None:
        ids = [await queue.defer(queue=name) for name in "ab"]
        for job_id in ids:
            await queue.take(job_id)
        await queue.age_events(ids[1], seconds=100)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            assert await self.stalled(queue, nb_seconds=50) == ids[1:]
            assert await self.stalled(queue, nb_seconds=150) == []
            assert await self.stalled(queue, nb_seconds=50, queue="a") == []
            assert await self.stalled(queue, nb_seconds=50, task_name="nothing") == ids[1:]
            assert await self.stalled(queue, nb_seconds=0) == ids


class TestPeriodic(TaskConformance):
    async def defer(self, queue: TaskQueue, slot: int, /, periodic_id: str = "", **options: Any) -> int | None:
        job = jobs.Job(
            **{"queue": "default", "lock": None, "queueing_lock": None, "task_name": "nothing"} | options,
            task_kwargs={"timestamp": slot},
        )
        return await queue.manager.defer_periodic_job(job, periodic_id, slot)

    async def test_once_a_slot(self, queue: TaskQueue) -> None:
        found = await asyncio.gather(*(self.defer(queue, 1000) for _ in range(5)))
        (job_id,) = set(found) - {None}
        assert sorted(map(bool, found)) == [False] * 4 + [True]
        assert await self.defer(queue, 1060)
        assert await self.defer(queue, 1060, periodic_id="another")
        assert await self.defer(queue, 1060, task_name="fail")
        assert job_id
        assert (await queue.job(job_id)).task_kwargs == {"timestamp": 1000}
        assert len(list(await queue.manager.list_jobs_async())) == 4

    async def test_the_job_is_as_configured(self, queue: TaskQueue) -> None:
        job_id = await self.defer(queue, 60, queue="q", priority=4, lock="l", queueing_lock="x")
        assert job_id
        job = await queue.job(job_id)
        assert (job.queue, job.priority, job.lock, job.queueing_lock) == ("q", 4, "l", "x")
        assert job.scheduled_at is None

    async def test_only_the_last_slot_is_remembered(self, queue: TaskQueue) -> None:
        queue.skip_memory("keeps no table of them")
        for slot in (60, 120, 180):
            last = await self.defer(queue, slot)
        rows = await queue.query(
            "SELECT task_name, periodic_id, defer_timestamp, job_id FROM procrastinate_periodic_defers"
        )
        assert rows == [{"task_name": "nothing", "periodic_id": "", "defer_timestamp": 180, "job_id": last}]
        assert last
        job = await queue.take(1)
        await queue.finish(job, delete_job=True)
        await queue.manager.cancel_job_by_id_async(last, delete_job=True)
        assert [row["job_id"] for row in await queue.query("SELECT job_id FROM procrastinate_periodic_defers")] == [
            None
        ]
        assert await self.defer(queue, 180) is None

    async def test_a_slot_is_not_taken_when_the_queueing_lock_is(self, queue: TaskQueue) -> None:
        queue.skip_memory("takes it nevertheless")
        waiting = await queue.defer(queueing_lock="one")
        with pytest.raises(exceptions.AlreadyEnqueued, match="queueing lock one"):
            await self.defer(queue, 60, queueing_lock="one")
        await queue.take(waiting)
        assert await self.defer(queue, 60, queueing_lock="one")


class TestDeleteOld(TaskConformance):
    @pytest.mark.parametrize(
        ("options", "left"),
        [
            ({}, {"new", "todo", "doing", "failed", "aborted", "cancelled"}),
            ({"include_failed": True}, {"new", "todo", "doing", "aborted", "cancelled"}),
            ({"include_aborted": True}, {"new", "todo", "doing", "failed", "cancelled"}),
            ({"include_cancelled": True}, {"new", "todo", "doing", "failed", "aborted"}),
            ({"queue": "succeeded"}, {"new", "todo", "doing", "failed", "aborted", "cancelled"}),
            ({"queue": "nope"}, {"new", "todo", "doing", "succeeded", "failed", "aborted", "cancelled"}),
        ],
    )
    async def test_what_has_been_over_for_long(self, queue: TaskQueue, options: dict[str, Any], left: set[str]) -> None:
        for state in ("succeeded", "failed", "aborted", "new"):
            job_id = await queue.defer(queue=state)
            await queue.finish(await queue.take(job_id), "succeeded" if state == "new" else state)
            if state != "new":
                await queue.age_events(job_id, hours=10.1)
        doing, cancelled, todo = [await queue.defer(queue=state) for state in ("doing", "cancelled", "todo")]
        await queue.take(doing)
        await queue.manager.cancel_job_by_id_async(cancelled)
        for job_id in (doing, cancelled, todo):
            await queue.age_events(job_id, hours=10.1)
        await queue.manager.delete_old_jobs(nb_hours=11, include_failed=True)
        assert len(list(await queue.manager.list_jobs_async())) == 7
        await queue.manager.delete_old_jobs(nb_hours=10, **options)
        assert {job.queue for job in await queue.manager.list_jobs_async()} == left

    async def test_any_number_of_them(self, queue: TaskQueue) -> None:
        queue.skip_memory("knows no SQL")
        await queue.app.configure_task("nothing").batch_defer_async(*({"n": n} for n in range(2100)))
        # Had autovacuum looked in the middle of that, PostgreSQL would believe the tables to be empty, and
        # procrastinate's statement would go through all of them for each job: for half an hour.
        await queue.execute("ANALYZE procrastinate_jobs")
        await queue.execute("ANALYZE procrastinate_events")
        await queue.execute("UPDATE procrastinate_jobs SET status = 'doing'")
        await queue.execute("UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id > 50")
        await queue.manager.delete_old_jobs(nb_hours=0)
        assert len(list(await queue.manager.list_jobs_async())) == 50
        assert {row["job_id"] for row in await queue.query("SELECT job_id FROM procrastinate_events")} == set(
            range(1, 51)
        )
