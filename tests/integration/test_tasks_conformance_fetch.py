"""Which job is taken next, on every connector."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest
from procrastinate import exceptions

from tests.task_conformance import TaskConformance, TaskQueue, utcnow


async def drained(queue: TaskQueue, queues: list[str] | None = None) -> list[int]:
    """The ids of jobs in the order in which they are taken, each finished before the next."""
    worker = await queue.manager.register_worker()
    taken = []
    while job := await queue.fetch(worker, queues):
        assert job.id
        taken.append(job.id)
        await queue.finish(job)
    return taken


class TestOrder(TaskConformance):
    async def test_nothing_to_take(self, queue: TaskQueue) -> None:
        assert await queue.fetch() is None

    async def test_a_taken_job_says_so(self, queue: TaskQueue) -> None:
        job_id = await queue.defer(args={"a": [1]}, priority=3, queue="mail", lock="l", queueing_lock="q")
        worker = await queue.manager.register_worker()
        taken = await queue.take(job_id, worker)
        assert taken == await queue.job(job_id)
        assert (taken.status, taken.worker_id, taken.attempts, taken.task_kwargs) == ("doing", worker, 0, {"a": [1]})
        assert await queue.fetch() is None

    async def test_priority_first_then_age(self, queue: TaskQueue) -> None:
        ids = {
            name: await queue.defer(priority=priority) for name, priority in zip("abcde", [0, 5, -5, 5, 0], strict=True)
        }
        assert await drained(queue) == [ids[name] for name in "bdaec"]

    async def test_only_the_queues_that_are_asked_for(self, queue: TaskQueue) -> None:
        mail, other, odd = [await queue.defer(queue=name) for name in ("mail", "other", 'it\'s, "odd"')]
        assert await drained(queue, ["nope"]) == []
        assert await drained(queue, []) == []
        assert await drained(queue, ['it\'s, "odd"', "mail"]) == [mail, odd]
        assert await drained(queue) == [other]

    async def test_not_before_its_time(self, queue: TaskQueue) -> None:
        await queue.defer(schedule_at=utcnow() + dt.timedelta(hours=1), priority=9)
        past = await queue.defer(schedule_at=utcnow() - dt.timedelta(hours=1))
        ancient = await queue.defer(schedule_at=dt.datetime(1, 1, 1, tzinfo=dt.UTC))
        zone = dt.timezone(dt.timedelta(hours=14))  # its text is tomorrow's, its moment is not
        elsewhere = await queue.defer(schedule_at=(utcnow() - dt.timedelta(seconds=1)).astimezone(zone))
        assert await drained(queue) == [past, ancient, elsewhere]

    async def test_a_job_for_now_is_due_now(self, queue: TaskQueue) -> None:
        for _ in range(20):
            await queue.take(await queue.defer(schedule_at=utcnow()))

    async def test_many_at_once_take_each_job_once(self, queue: TaskQueue) -> None:
        ids = await queue.app.configure_task("nothing").batch_defer_async(*({"n": n} for n in range(60)))
        workers = [await queue.manager.register_worker() for _ in range(6)]

        async def take_ten(worker: int) -> list[int | None]:
            jobs = [await queue.fetch(worker) for _ in range(10)]
            return [job.id for job in jobs if job]

        taken = [job_id for found in await asyncio.gather(*map(take_ten, workers)) for job_id in found]
        assert sorted(taken) == ids  # type: ignore[type-var] # a taken job has an id

    async def test_a_worker_that_is_not_registered_takes_nothing(self, queue: TaskQueue) -> None:
        job_id = await queue.defer()
        with pytest.raises((exceptions.ConnectorException, AssertionError)):  # the latter in memory
            await queue.fetch(12345)
        assert await queue.status(job_id) == "todo"


class TestLocks(TaskConformance):
    async def test_one_at_a_time(self, queue: TaskQueue) -> None:
        first, second = [await queue.defer(lock="a") for _ in range(2)]
        other = await queue.defer(lock="b")
        running = await queue.take(first)
        await queue.take(other)
        assert await queue.fetch() is None
        await queue.finish(running)
        await queue.take(second)

    async def test_jobs_without_a_lock_do_not_wait(self, queue: TaskQueue) -> None:
        await queue.take(await queue.defer(lock="a"))
        await queue.defer(lock="a")
        for _ in range(2):
            await queue.take(await queue.defer())

    async def test_the_first_of_a_lock_goes_first_whoever_asks(self, queue: TaskQueue) -> None:
        queue.skip_memory("looks at running jobs only, not at those before in the queue")
        late = await queue.defer(lock="a", queue="slow", schedule_at=utcnow() + dt.timedelta(hours=1))
        await queue.defer(lock="a", queue="fast")
        assert await queue.fetch(queues=["fast"]) is None
        assert await queue.fetch() is None
        urgent = await queue.defer(lock="a", priority=1, queue="fast")
        await queue.finish(await queue.take(urgent))
        assert await queue.fetch() is None
        assert await queue.manager.cancel_job_by_id_async(late)
        assert await queue.fetch()

    @pytest.mark.parametrize("end", ["succeeded", "failed", "aborted", "deleted", "retried"])
    async def test_any_end_frees_it(self, queue: TaskQueue, end: str) -> None:
        first, second = [await queue.defer(lock="a") for _ in range(2)]
        running = await queue.take(first)
        if end == "retried":
            await queue.manager.retry_job(running, priority=-1)
        elif end == "deleted":
            await queue.finish(running, delete_job=True)
        else:
            await queue.finish(running, end)
        await queue.take(second)

    async def test_running_side_by_side_with_one_lock_is_impossible(self, queue: TaskQueue) -> None:
        queue.skip_memory("has no constraints")
        await queue.take(await queue.defer(lock="a"))
        second = await queue.defer(lock="a")
        with pytest.raises(exceptions.UniqueViolation) as caught:
            await queue.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE id = %(id)s", id=second)
        assert caught.value.constraint_name == "procrastinate_jobs_lock_idx_v1"
