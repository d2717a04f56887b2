"""From one state to another: finishing, cancelling, aborting, retrying, and the events of it; on every connector."""

from __future__ import annotations

import datetime as dt

import pytest
from procrastinate import exceptions

from tests.task_conformance import TaskConformance, TaskQueue, utcnow

MISSING = 987654321


class TestFinish(TaskConformance):
    @pytest.mark.parametrize("status", ["succeeded", "failed", "aborted"])
    async def test_each_end(self, queue: TaskQueue, status: str) -> None:
        job_id = await queue.defer()
        await queue.finish(await queue.take(job_id), status)
        job = await queue.job(job_id)
        assert (job.status, job.attempts, job.abort_requested) == (status, 1, False)
        if queue.backend != "memory":  # which keeps no table of events
            assert await queue.events(job_id) == ["deferred", "started", status]

    async def test_deleting_it(self, queue: TaskQueue) -> None:
        job_id = await queue.defer()
        await queue.finish(await queue.take(job_id), delete_job=True)
        assert list(await queue.manager.list_jobs_async()) == []
        if queue.backend != "memory":
            assert await queue.events(job_id) == []

    @pytest.mark.parametrize("delete_job", [True, False])
    async def test_only_once(self, queue: TaskQueue, *, delete_job: bool) -> None:
        queue.skip_memory("does not look at the state")
        job_id = await queue.defer()
        job = await queue.take(job_id)
        await queue.finish(job)
        with pytest.raises(exceptions.ConnectorException):
            await queue.finish(job, "failed", delete_job=delete_job)
        assert await queue.status(job_id) == "succeeded"
        with pytest.raises(exceptions.ConnectorException):
            await queue.finish(job.evolve(id=MISSING), delete_job=delete_job)

    async def test_cancelled_is_no_end_of_a_running_job(self, queue: TaskQueue) -> None:
        queue.skip_memory("takes any status")
        job = await queue.take(await queue.defer())
        with pytest.raises(exceptions.ConnectorException):
            await queue.finish(job, "cancelled")

    async def test_a_waiting_job_may_be_finished_too(self, queue: TaskQueue) -> None:
        queue.skip_memory("counts an attempt and keeps no table of events")
        job_id = await queue.defer()
        await queue.finish(await queue.job(job_id))
        assert (await queue.job(job_id)).attempts == 0
        assert await queue.events(job_id) == ["deferred", "cancelled"]


class TestCancel(TaskConformance):
    @pytest.mark.parametrize("abort", [True, False])
    async def test_a_waiting_job(self, queue: TaskQueue, *, abort: bool) -> None:
        job_id = await queue.defer(queueing_lock="q")
        assert await queue.manager.cancel_job_by_id_async(job_id, abort=abort)
        assert await queue.status(job_id) == "cancelled"
        assert await queue.fetch() is None
        assert await queue.defer(queueing_lock="q")
        if queue.backend != "memory":
            assert (await queue.job(job_id)).abort_requested is abort
            assert await queue.events(job_id) == ["deferred", *["abort_requested"] * abort, "cancelled"]

    async def test_deleting_it(self, queue: TaskQueue) -> None:
        job_id = await queue.defer()
        assert await queue.manager.cancel_job_by_id_async(job_id, delete_job=True)
        assert list(await queue.manager.list_jobs_async()) == []

    @pytest.mark.parametrize("delete_job", [True, False])
    async def test_a_running_job_only_if_it_may_be_aborted(self, queue: TaskQueue, *, delete_job: bool) -> None:
        job_id = await queue.defer()
        job = await queue.take(job_id)
        assert not await queue.manager.cancel_job_by_id_async(job_id, delete_job=delete_job)
        assert list(await queue.manager.list_jobs_to_abort_async()) == []
        assert await queue.manager.cancel_job_by_id_async(job_id, abort=True, delete_job=delete_job)
        assert await queue.manager.cancel_job_by_id_async(job_id, abort=True)
        found = await queue.job(job_id)
        assert (found.status, found.abort_requested) == ("doing", True)
        await queue.finish(job, "aborted")
        if queue.backend != "memory":
            assert await queue.events(job_id) == ["deferred", "started", *["abort_requested"] * 2, "aborted"]

    async def test_which_jobs_are_to_abort(self, queue: TaskQueue) -> None:
        ids = [await queue.defer(queue=name) for name in ("a", "b", "a")]
        for job_id in ids:
            await queue.take(job_id)
        for job_id in ids[:2]:
            await queue.manager.cancel_job_by_id_async(job_id, abort=True)
        assert sorted(await queue.manager.list_jobs_to_abort_async()) == ids[:2]
        assert list(await queue.manager.list_jobs_to_abort_async(queue="a")) == ids[:1]

    async def test_not_when_it_is_over_or_missing(self, queue: TaskQueue) -> None:
        queue.skip_memory("fails for a job that is missing, and does not look at the state")
        job_id = await queue.defer()
        await queue.finish(await queue.take(job_id))
        for missing in (job_id, MISSING):
            for abort in (True, False):
                for delete_job in (True, False):
                    assert not await queue.manager.cancel_job_by_id_async(missing, abort=abort, delete_job=delete_job)
        assert await queue.status(job_id) == "succeeded"

    async def test_a_status_of_a_missing_job(self, queue: TaskQueue) -> None:
        with pytest.raises((exceptions.NoResult, KeyError)):  # the latter in memory
            await queue.manager.get_job_status_async(MISSING)


class TestRetry(TaskConformance):
    async def test_a_running_job(self, queue: TaskQueue) -> None:
        job_id = await queue.defer(priority=1, queue="a", lock="l")
        moment = utcnow() - dt.timedelta(seconds=1)
        await queue.manager.retry_job(await queue.take(job_id), retry_at=moment)
        job = await queue.job(job_id)
        assert (job.status, job.attempts, job.scheduled_at) == ("todo", 1, moment)
        assert (job.priority, job.queue, job.lock) == (1, "a", "l")
        if queue.backend != "memory":
            assert await queue.events(job_id) == ["deferred", "started", "scheduled", "deferred_for_retry"]
        await queue.take(job_id)

    async def test_elsewhere(self, queue: TaskQueue) -> None:
        job_id = await queue.defer(priority=1, queue="a", lock="l")
        job = await queue.take(job_id)
        await queue.manager.retry_job(job, priority=0, queue="b", lock="m")
        found = await queue.job(job_id)
        assert (found.priority, found.queue, found.lock) == (0, "b", "m")
        await queue.take(job_id)  # at once: it was to be retried now

    async def test_a_failed_job(self, queue: TaskQueue) -> None:
        job_id = await queue.defer()
        await queue.finish(await queue.take(job_id), "failed")
        await queue.manager.retry_job_by_id_async(job_id, utcnow())
        assert (await queue.job(job_id)).attempts == 2
        if queue.backend != "memory":
            assert (await queue.events(job_id))[-2:] == ["scheduled", "retried"]
        await queue.take(job_id)

    @pytest.mark.parametrize("state", ["todo", "succeeded", "aborted", "cancelled", "missing"])
    async def test_no_other_job(self, queue: TaskQueue, state: str) -> None:
        queue.skip_memory("does not look at the state")
        job_id = await queue.defer()
        if state == "cancelled":
            await queue.manager.cancel_job_by_id_async(job_id)
        elif state != "todo":
            await queue.finish(await queue.take(job_id), "aborted" if state == "aborted" else "succeeded")
        before = await queue.job(job_id)
        with pytest.raises(exceptions.ConnectorException):
            await queue.manager.retry_job_by_id_async(MISSING if state == "missing" else job_id, utcnow())
        assert await queue.job(job_id) == before

    async def test_one_that_is_asked_to_abort_fails(self, queue: TaskQueue) -> None:
        queue.skip_memory("puts it back")
        job_id = await queue.defer()
        job = await queue.take(job_id)
        await queue.manager.cancel_job_by_id_async(job_id, abort=True)
        await queue.manager.retry_job(job, priority=5)
        found = await queue.job(job_id)
        assert (found.status, found.attempts, found.priority, found.scheduled_at) == ("failed", 0, 0, None)
        with pytest.raises(exceptions.ConnectorException):  # a waiting job must not be asked to abort
            await queue.manager.retry_job(job)

    async def test_not_past_a_queueing_lock(self, queue: TaskQueue) -> None:
        queue.skip_memory("does not look at queueing locks then")
        job = await queue.take(await queue.defer(queueing_lock="q"))
        await queue.defer(queueing_lock="q")
        with pytest.raises(exceptions.UniqueViolation) as caught:
            await queue.manager.retry_job(job)
        assert caught.value.queueing_lock == "q"
        assert job.id
        assert await queue.status(job.id) == "doing"
