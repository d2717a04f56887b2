"""A worker from end to end, and what it listens for; on every connector."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NoReturn

import pytest
from procrastinate import exceptions
from procrastinate.job_context import JobContext
from procrastinate.retry import RetryStrategy

from tests.task_conformance import TaskConformance, TaskQueue

SOON = 20  # seconds that nothing here needs


@contextlib.asynccontextmanager
async def running(queue: TaskQueue, **options: Any) -> AsyncIterator[None]:
    """A worker in the background, which polls so seldom that only notifications wake it."""
    settings = {
        "wait": True,
        "listen_notify": True,
        "fetch_job_polling_interval": 600,
        "abort_job_polling_interval": 600,
    }
    worker = asyncio.create_task(queue.work(**settings | options))
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.wait([worker], timeout=SOON)


class TestWork(TaskConformance):
    async def test_every_job_is_done_once(self, queue: TaskQueue) -> None:
        done = []

        @queue.app.task(name="note", lock="one at a time")
        async def note(number: int) -> None:
            done.append(number)

        @queue.app.task(name="note-in-a-thread")
        def note_in_a_thread(number: int) -> None:
            done.append(number)

        await note.batch_defer_async(*({"number": number} for number in range(20)))
        await note_in_a_thread.batch_defer_async(*({"number": number} for number in range(20, 40)))
        await queue.work(concurrency=5)
        assert sorted(done) == list(range(40))
        assert [number for number in done if number < 20] == list(range(20))
        assert {(job.status, job.attempts) for job in await queue.manager.list_jobs_async()} == {("succeeded", 1)}
        assert await queue.manager.prune_stalled_workers(-1) == []

    async def test_a_failure_and_an_unknown_task(self, queue: TaskQueue) -> None:
        failing, unknown = await queue.defer("fail"), await queue.defer("no such task")
        await queue.work()
        assert (await queue.status(failing), await queue.status(unknown)) == ("failed", "failed")

    async def test_retries(self, queue: TaskQueue) -> None:
        attempts = []

        @queue.app.task(name="stubborn", retry=RetryStrategy(max_attempts=3), pass_context=True)
        def stubborn(context: JobContext) -> NoReturn:
            attempts.append(context.job.attempts)
            raise ValueError("again")

        @queue.app.task(name="late", retry=RetryStrategy(max_attempts=3, wait=3600))
        def late() -> NoReturn:
            raise ValueError("later")

        job_id, later = await stubborn.defer_async(), await late.defer_async()
        await queue.work()
        assert attempts == [0, 1, 2, 3]
        assert await queue.status(job_id) == "failed"
        assert (await queue.job(job_id)).attempts == 4
        waiting = await queue.job(later)
        assert (waiting.status, waiting.attempts) == ("todo", 1)
        assert waiting.scheduled_at

    @pytest.mark.parametrize(
        ("condition", "left"), [("never", {"nothing", "fail"}), ("successful", {"fail"}), ("always", set())]
    )
    async def test_jobs_that_ended_are_deleted_if_so_wished(
        self, queue: TaskQueue, condition: str, left: set[str]
    ) -> None:
        await queue.defer("nothing")
        await queue.defer("fail")
        await queue.work(delete_jobs=condition)
        assert {job.task_name for job in await queue.manager.list_jobs_async()} == left

    async def test_a_periodic_task_is_deferred_once_by_two_workers(self, queue: TaskQueue) -> None:
        timestamps = []

        @queue.app.periodic(cron="* * * * *")
        @queue.app.task(name="tick")
        async def tick(timestamp: int) -> None:
            timestamps.append(timestamp)

        async with running(queue), running(queue):
            await until(lambda: bool(timestamps))
        assert len(timestamps) == len(set(timestamps))
        assert len(timestamps) in {1, 2}  # two, if a minute has just ended


class TestListen(TaskConformance):
    async def test_a_worker_is_woken(self, queue: TaskQueue) -> None:
        done = asyncio.Event()

        @queue.app.task(name="ring")
        async def ring() -> None:
            done.set()

        async with running(queue):
            async with asyncio.timeout(SOON):
                while not done.is_set():  # it may have looked for jobs already, and not be listening yet
                    await ring.defer_async()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), 0.3)

    async def test_an_asynchronous_task_is_aborted(self, queue: TaskQueue) -> None:
        started = asyncio.Event()

        @queue.app.task(name="endless")
        async def endless() -> None:
            started.set()
            await asyncio.sleep(3600)

        job_id = await endless.defer_async()
        async with running(queue):
            await asyncio.wait_for(started.wait(), SOON)
            await until_aborted(queue, job_id)
        assert await queue.status(job_id) == "aborted"
        assert not (await queue.job(job_id)).abort_requested

    async def test_a_synchronous_task_is_asked(self, queue: TaskQueue) -> None:
        started, ended = asyncio.Event(), []
        loop = asyncio.get_running_loop()

        @queue.app.task(name="endless", pass_context=True)
        def endless(context: JobContext) -> None:
            import time

            loop.call_soon_threadsafe(started.set)
            while not context.should_abort():
                time.sleep(0.005)
            ended.append(context.job.id)
            raise exceptions.JobAborted

        job_id = await endless.defer_async()
        async with running(queue):
            await asyncio.wait_for(started.wait(), SOON)
            await until_aborted(queue, job_id)
        assert ended == [job_id]

    async def test_what_is_heard(self, queue: TaskQueue) -> None:
        heard: list[tuple[str, dict[str, Any]]] = []

        async def hear(*, channel: str, payload: str) -> None:
            heard.append((channel, json.loads(payload)))

        mail, every = "procrastinate_queue_v1#mail", "procrastinate_any_queue_v1"
        listening = asyncio.create_task(queue.connector.listen_notify(on_notification=hear, channels=[mail, every]))
        try:
            async with asyncio.timeout(SOON):
                while not heard:
                    await queue.defer(queue="ready?")
                    await asyncio.sleep(0.05)
            await queue.defer(queue="mail")
            other = await queue.defer(queue="other", priority=5)
            await queue.take(other)
            await queue.manager.cancel_job_by_id_async(other, abort=True)
            abort = {"type": "abort_job_requested", "job_id": other}
            await until(lambda: (every, abort) in heard)
            inserted = [{"type": "job_inserted", "job_id": job_id} for job_id in (other - 1, other)]
            assert (mail, inserted[0]) in heard
            assert [note for channel, note in heard if channel == every][-3:] == [*inserted, abort]
            assert [note for channel, note in heard if channel == mail] == inserted[:1]
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def until(true: Any) -> None:
    async with asyncio.timeout(SOON):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


async def until_aborted(queue: TaskQueue, job_id: int) -> None:
    """Ask a running job to abort until it has: the worker may not be listening yet."""
    async with asyncio.timeout(SOON):
        while await queue.status(job_id) == "doing":
            await queue.manager.cancel_job_by_id_async(job_id, abort=True)
            if queue.backend != "memory":  # a flag that is set already notifies nobody
                await queue.execute("UPDATE procrastinate_jobs SET abort_requested = false WHERE status = 'doing'")
                await queue.manager.cancel_job_by_id_async(job_id, abort=True)
            await asyncio.sleep(0.05)
