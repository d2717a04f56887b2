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
from procrastinate.exceptions import ConnectorException
from sqlalchemy import event

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.context import TaskContext
from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.queue.sqlite.listener import Listener
from fastopp.tasks.worker import worker
from fastopp.tasks.worker.fenced import FencedJobManager
from fastopp.tasks.worker.queue import open_queue
from fastopp.tasks.worker.store import JobStore
from fastopp.tasks.worker.takeover import take_over_stalled
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
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
            return any(isinstance(thread, Listener) for thread in threading.enumerate())
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
    names = ("procrastinate", "fastopp.tasks.worker.queue", "fastopp.tasks.models", "fastopp.tasks.worker.drain")
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
    assert "procrastinate fastopp.tasks.worker.queue" in lines[1]
    assert lines[2] == "lifespan.shutdown.complete"


async def test_whoever_was_taken_for_dead_takes_nothing_more(plain_project):
    """It wakes up, finds the very job waiting, and would run it a second time beside the first."""
    effect = await plain_project.tasks.queue("errands.effect")
    async with open_queue(plain_project) as queue:
        frozen = FencedJobManager(queue.store, concurrency=1)
        worker_id = await frozen.register_worker()
        assert (await frozen.fetch_job(None, worker_id)).id == effect.id
        stale = "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000'"
        await run_sql(plain_project, stale)
        assert await take_over_stalled(queue.store, plain_project.task_process) == 1
        frozen.function_returned(effect.id)
        assert await frozen.fetch_job(None, worker_id) is None
        assert frozen.lost
    assert (await plain_project.tasks.get(effect.id)).status == "waiting"


def rolled_back(url):
    """Block this process until the server has ended the transaction that it left idle."""
    idle = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'"
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql"), autocommit=True) as connection:
        while connection.execute(idle).fetchone():
            time.sleep(0.02)


@pytest.mark.parametrize("plain_url", ["psycopg"], indirect=True)
@pytest.mark.parametrize("finish", [False, True])
async def test_a_process_frozen_before_its_commit_loses_the_job(plain_url, finish):
    async with (
        open_project(plain_url, make=False, limits=TaskLimits(stalled_after=1)) as project,
        open_queue(project) as queue,
    ):
        effect = await project.tasks.queue("errands.effect")
        manager = FencedJobManager(queue.store, concurrency=1)
        worker_id = await manager.register_worker()
        await manager.fetch_job(None, worker_id)
        context = TaskContext(
            runtime=project, job_id=effect.id, worker_id=worker_id, name="errands.effect", attempt=1, place=None,
            report=lambda run: queue.store.report(effect.id, worker_id, run),
            save=lambda place: queue.store.save_place(effect.id, worker_id, place),
            asked_to_stop=lambda: False, deadline=None,
        )  # fmt: skip
        with pytest.raises(DatabaseUnavailable):
            async with context.transaction(finish=finish) as session:
                event.listen(session.sync_session, "before_commit", lambda _: rolled_back(plain_url))
        assert not context.finished
        await run_sql(project, "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01'")
        assert await take_over_stalled(queue.store, project.task_process) == 1
        assert (await project.tasks.get(effect.id)).status == "waiting"


async def test_what_was_given_and_never_arrived_goes_back(plain_project):
    """The database gave a job, and the connection broke before its answer."""
    effect = await plain_project.tasks.queue("errands.effect")
    async with open_queue(plain_project) as queue:
        manager = FencedJobManager(queue.store, concurrency=1)
        worker_id = await manager.register_worker()
        fetch = queue.store.fetch

        class Broken(JobStore):
            async def fetch(self, queues, worker_id, limit):
                await fetch(queues, worker_id, limit)
                raise ConnectorException

        manager.store = Broken(queue.store.connector, queue.store._statements, stalled_after=30.0)
        assert await manager.fetch_job(None, worker_id) is None
        assert (await plain_project.tasks.get(effect.id)).status == "running"
        manager.store = queue.store
        assert (await manager.fetch_job(None, worker_id)).id == effect.id
    assert (await plain_project.tasks.get(effect.id)).attempts == 0
