"""Workers that are killed, frozen and stopped, and several at a time. They are processes, as in life."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.gate import full, only_full
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services import forks
from tests.services.migrations import ROOT
from tests.services.tasks import effects, run_sql, until

pytestmark = pytest.mark.parametrize("plain_url", ["psycopg", *only_full("sqlite")], indirect=True)


@contextmanager
def worker(url: str, concurrency: int = 4) -> Iterator[forks.Program]:
    """A worker that has started."""
    words = ["-m", "tests.services.tasks_worker", url, str(concurrency)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with forks.Program(words, stdout=forks.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def told(project, name):
    async def condition():
        return name in await effects(project)

    return condition


def over(project, *ids):
    async def condition():
        return all([(await project.tasks.get(each)).is_over for each in ids])

    return condition


def stopped(process):
    async def condition():
        return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED

    return condition


async def freeze(process, url):
    """Not while it writes: then it would hold SQLite's lock, and nothing would help but its waking up."""
    while True:
        process.send_signal(signal.SIGSTOP)
        await until(stopped(process))  # until then its threads may go on, and take the lock
        if not url.startswith("sqlite"):
            return
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.2)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_killed_workers_job_is_done_by_another(plain_project, plain_url):
    nap = await plain_project.tasks.queue("errands.nap", seconds=3)
    with worker(plain_url) as first:
        await until(told(plain_project, "began"))
        first.kill()
        first.wait()
    with worker(plain_url):
        await until(over(plain_project, nap.id))
    status = await plain_project.tasks.get(nap.id)
    assert (status.status, status.attempts) == ("succeeded", 2)
    assert [name for name in await effects(plain_project) if "e" in name and "minute" not in name] == [
        "began",
        "began",
        "ended",
    ]


async def test_a_frozen_worker_changes_nothing_once_it_wakes_up(plain_project, plain_url):
    nap = await plain_project.tasks.queue("errands.nap", seconds=2)
    with worker(plain_url) as first:
        await until(told(plain_project, "began"))
        await freeze(first, plain_url)
        with worker(plain_url) as second:
            await until(over(plain_project, nap.id))
            newest = "SELECT max(id) FROM procrastinate_workers"
            ((known,),) = await run_sql(plain_project, newest)
            first.send_signal(signal.SIGCONT)

            async def back():
                return await run_sql(plain_project, newest) != [(known,)]

            # It goes on working, as a new worker, once it has done with what it was at.
            await until(back)
            second.send_signal(signal.SIGTERM)
            assert second.wait(20) == 0
            after = await plain_project.tasks.queue("errands.effect", name="after the thaw")
            await until(over(plain_project, after.id))
    status = await plain_project.tasks.get(nap.id)
    assert (status.status, status.attempts) == ("succeeded", 2)
    names = await effects(plain_project)
    assert names.count("ended") == 1
    assert names.count("after the thaw") == 1


async def test_a_stopped_worker_gives_its_job_back(plain_project, plain_url):
    long = await plain_project.tasks.queue("errands.nap", seconds=60)
    steps = await plain_project.tasks.queue("errands.steps", total=100_000, pause=0.01)
    with worker(plain_url) as process:
        await until(told(plain_project, "began"))
        await until(told(plain_project, "step 0"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    for each in (long.id, steps.id):
        status = await plain_project.tasks.get(each)
        assert (status.status, status.attempts, status.stalled) == ("waiting", 0, False)
    place = "SELECT place FROM task_runs WHERE job_id = :id"
    assert "step" in str(await run_sql(plain_project, place, id=steps.id))


@full
async def test_several_workers_do_each_job_once(plain_project, plain_url):
    async with plain_project.database.transaction() as session:
        tasks = plain_project.tasks.within(session)
        ids = [(await tasks.queue("errands.once", name=f"job {index:03}")).id for index in range(150)]
    with worker(plain_url), worker(plain_url), worker(plain_url):
        await until(over(plain_project, ids[-1]), seconds=60)
        await until(over(plain_project, *ids[-20:]), seconds=60)
        done = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'errands.once' AND status <> 'succeeded'"

        async def all_done():
            return await run_sql(plain_project, done) == [(0,)]

        await until(all_done, seconds=60)
    names = [name for name in await effects(plain_project) if name.startswith("job")]
    assert sorted(names) == [f"job {index:03}" for index in range(150)]
