"""The worker beside the application: woken at once, ended cleanly, and nothing of it where it is not wanted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import event

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import JobLost
from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.worker import worker
from fastopp.tasks.worker.listen_sqlite import THREAD
from fastopp.tasks.worker.loop import WorkLoop
from fastopp.tasks.worker.store import JobStore, open_store
from fastopp.tasks.worker.takeover import take_over_stalled
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.errands.tasks import note
from tests.services.migrations import ROOT
from tests.services.tasks import effects, open_project, run_sql, until


@asynccontextmanager
async def working(project):
    """A worker of this process that has signed on."""
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run_worker(project, stop=stop))

    async def alive():
        return (await project.tasks.counts()).workers == 1

    await until(alive)
    try:
        yield
    finally:
        stop.set()
        await running


WITHOUT_LOOKING = TaskLimits(poll=3600.0, pooled_poll=3600.0)
"""A worker finds nothing by looking, so what it does it was notified of."""

RESTARTED_SOON = TaskLimits(heartbeat_interval=0.1, restart_pauses=(0.05,))


def listens(project):
    """A condition: a worker hears of what other processes queue."""

    async def condition():
        if project.database.url.backend == "sqlite":
            return any(thread.name == THREAD for thread in threading.enumerate())
        listening = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        return await run_sql(project, listening) != []

    return condition


async def test_what_is_queued_here_starts_at_once(tasks_url):
    async with open_project(tasks_url, make=False, limits=WITHOUT_LOOKING) as project:
        async with working(project):
            # The first one may be found as the worker starts; by its end there is nothing left to look at.
            for number in range(6):
                queued = await project.tasks.queue("errands.effect", name=f"effect {number}")

                async def over(job=queued.id):
                    return (await project.tasks.get(job)).is_over

                await until(over)
        assert (await project.tasks.counts()).workers == 0


async def test_what_another_process_queues_is_heard(plain_url):
    async with (
        open_project(plain_url, make=False, limits=WITHOUT_LOOKING) as project,
        working(project),
        open_project(plain_url, make=False) as other,
    ):
        await until(listens(project))
        for _ in range(3):  # the first one may be found by the look with which listening begins
            queued = await other.tasks.queue("errands.effect")

            async def over(job=queued.id):
                return (await other.tasks.get(job)).is_over

            await until(over)


async def test_the_database_has_no_tables_yet(tmp_path, caplog):
    url = f"sqlite:///{tmp_path}/empty.db"
    async with open_project(url, make=False, limits=RESTARTED_SOON) as project:
        stop = asyncio.Event()
        running = asyncio.create_task(worker.run_worker(project, stop=stop))

        async def waits():
            return "The worker waits for the database" in caplog.text

        await until(waits)
        async with open_project(url) as other:
            queued = await other.tasks.queue("errands.effect")

            async def over():
                return (await other.tasks.get(queued.id)).is_over

            await until(over)
        stop.set()
        await running


async def test_a_worker_that_was_taken_for_dead_starts_anew(plain_url):
    async with open_project(plain_url, make=False, limits=RESTARTED_SOON) as project, working(project):
        await run_sql(project, "DELETE FROM procrastinate_workers")

        async def back():
            return (await project.tasks.counts()).workers == 1

        await until(back)
        await project.tasks.queue("errands.effect", name="after")

        async def done():
            return "after" in await effects(project)

        await until(done)


async def test_a_worker_that_is_stopped_before_it_has_signed_on_ends(plain_project):
    """However early: after each number of turns of the event loop that starting takes, with and without a cancel."""
    for turns in range(0, 60, 3):
        for cancel in (False, True):
            stop = asyncio.Event()
            running = asyncio.create_task(worker.run_worker(plain_project, stop=stop))
            for _ in range(turns):
                await asyncio.sleep(0)
            running.cancel() if cancel else stop.set()
            await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 20)
    assert (await plain_project.tasks.counts()).workers == 0


async def test_a_stop_between_the_first_look_and_the_worker_is_heard(plain_project, monkeypatch):
    stop = asyncio.Event()

    async def told_to_stop(*_arguments):
        stop.set()

    monkeypatch.setattr("fastopp.tasks.worker.takeover.take_over_stalled", told_to_stop)
    await asyncio.wait_for(worker.run_worker(plain_project, stop=stop), 20)
    assert (await plain_project.tasks.counts()).workers == 0


WEB = """
import asyncio, sys
from fastopp.core.application import FastOpp
from fastopp.settings import load_settings

async def main():
    settings = load_settings({"DATABASE_URL": sys.argv[1], "TASK_WORKER": sys.argv[2], "ENVIRONMENT": "development"})
    application = FastOpp(["demo.pages"], settings=settings)
    asked, said = asyncio.Queue(), asyncio.Queue()
    asked.put_nowait({"type": "lifespan.startup"})
    life = asyncio.create_task(application({"type": "lifespan"}, asked.get, said.put))
    print((await said.get())["type"])
    while sys.argv[2] == "true" and "fastopp.tasks.worker.takeover" not in sys.modules:
        await asyncio.sleep(0.05)  # it is imported in a thread, some seconds after the start
    names = ("fastopp.tasks.worker.loop", "fastopp.tasks.models", "fastopp.tasks.worker.drain")
    print(*[name for name in names if name in sys.modules])
    asked.put_nowait({"type": "lifespan.shutdown"})
    print((await said.get())["type"])
    await life

asyncio.run(main())
"""


def web(url: str, with_worker: str) -> list[str]:
    command = [sys.executable, "-c", WEB, url, with_worker]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


async def test_the_application_has_a_worker(sqlite_template):
    lines = await asyncio.to_thread(web, f"sqlite:///{sqlite_template}", "true")
    assert "fastopp.tasks.worker.loop" in lines[1]
    assert lines[2] == "lifespan.shutdown.complete"


async def test_whoever_was_taken_for_dead_takes_nothing_more(plain_project):
    """It wakes up, finds the very job waiting, and would run it a second time beside the first."""
    endless = await plain_project.tasks.queue("errands.endless")
    async with open_store(plain_project) as store:
        frozen = WorkLoop(plain_project, store, concurrency=2)

        async def take_over():
            async def began():
                return "began" in await effects(plain_project)

            await until(began)
            stale = "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000'"
            await run_sql(plain_project, stale)
            assert await take_over_stalled(store.database, plain_project.task_process) == 1
            frozen.tell()

        await asyncio.wait_for(frozen.run(take_over(), stop_timeout=0.1, poll=3600), 20)
        assert frozen.presence.lost
    status = await plain_project.tasks.get(endless.id)
    assert (status.status, status.attempts) == ("waiting", 1)
    assert (await effects(plain_project)).count("began") == 1


async def test_a_job_that_runs_is_not_begun_again_beside_itself(plain_project):
    """Somebody puts it back into the queue meanwhile."""
    queued = await plain_project.tasks.queue("errands.until_told")
    async with open_store(plain_project) as store:
        loop = WorkLoop(plain_project, store, concurrency=2, until_idle=True)

        async def put_back():
            async def began():
                return "began" in await effects(plain_project)

            async def taken_again():
                loop.tell()
                return (await plain_project.tasks.get(queued.id)).status == "running"

            await until(began)
            await run_sql(plain_project, "UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL")
            await until(taken_again)
            await run_sql(plain_project, "INSERT INTO effects (name) VALUES ('told')")

        await asyncio.wait_for(loop.run(put_back(), stop_timeout=5, poll=3600), 20)
    assert (await plain_project.tasks.get(queued.id)).status == "succeeded"
    assert sorted(await effects(plain_project)) == ["began", "told"]


def rolled_back(url):
    """Block this process until the server has ended the transaction that it left idle."""
    idle = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        while connection.execute(idle).fetchone():
            time.sleep(0.02)


def context_of(project, store, worker_id, job_id):
    """The context of a job's first attempt."""
    return TaskContext(
        runtime=project, job_id=job_id, worker_id=worker_id, name="errands.effect", attempt=1, place=None,
        report=lambda run: store.report(job_id, worker_id, run),
        save=lambda place: store.save_place(job_id, worker_id, place),
        asked_to_stop=lambda: False, deadline=None,
    )  # fmt: skip


async def test_a_function_that_does_not_end_writes_nothing_after_its_attempt(plain_project):
    """Its job may be the same worker's again."""
    effect = await plain_project.tasks.queue("errands.effect")
    async with open_store(plain_project) as store:
        worker_id = await store.sign_on()
        assert await store.fetch(None, worker_id, 1)
        context = context_of(plain_project, store, worker_id, effect.id)
        context.close()
        for write in (context.save_place({"step": 1}), context.progress(1), note(context, "late")):
            with pytest.raises(JobLost):
                await write
    assert await effects(plain_project) == []
    assert await run_sql(plain_project, "SELECT 1 FROM task_runs") == []


@pytest.mark.parametrize("plain_url", ["psycopg"], indirect=True)
@pytest.mark.parametrize("finish", [False, True])
async def test_a_process_frozen_before_its_commit_loses_the_job(plain_url, finish):
    async with (
        open_project(plain_url, make=False, limits=TaskLimits(stalled_after=1)) as project,
        open_store(project) as store,
    ):
        effect = await project.tasks.queue("errands.effect")
        worker_id = await store.sign_on()
        assert [job.id for job in await store.fetch(None, worker_id, 1)] == [effect.id]
        context = context_of(project, store, worker_id, effect.id)
        with pytest.raises(DatabaseUnavailable):
            async with context.transaction(finish=finish) as session:
                event.listen(session.sync_session, "before_commit", lambda _: rolled_back(plain_url))
        assert not context.finished
        await run_sql(project, "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01'")
        assert await take_over_stalled(store.database, project.task_process) == 1
        assert (await project.tasks.get(effect.id)).status == "waiting"


@pytest.mark.parametrize("answer", ["fetch", "places"])
async def test_what_was_given_and_never_arrived_goes_back(plain_project, answer):
    """The database gave a job, and the connection broke before its answer, or before that of the next question."""
    effect = await plain_project.tasks.queue("errands.effect")
    lost = []

    class Broken(JobStore):
        async def fetch(self, queues, worker_id, limit):
            return await self.lose("fetch", await super().fetch(queues, worker_id, limit))

        async def places(self, ids):
            return await self.lose("places", await super().places(ids))

        async def lose(self, name, found):
            if name == answer and not lost:
                lost.append((await plain_project.tasks.get(effect.id)).status)
                raise DatabaseUnavailable
            return found

    async with open_store(plain_project) as store:
        loop = WorkLoop(plain_project, Broken(store.database), concurrency=1)

        async def stop_after_it():
            async def over():
                return (await plain_project.tasks.get(effect.id)).is_over

            await until(over)
            loop.stop()

        await loop.run(stop_after_it(), stop_timeout=10, poll=0.05)
    status = await plain_project.tasks.get(effect.id)
    assert (lost, status.status, status.attempts) == (["running"], "succeeded", 1)
