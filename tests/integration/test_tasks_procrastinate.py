"""The queue is procrastinate's: its own App works on the same PostgreSQL tables, and SQLite holds the same rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import procrastinate
import pytest
from procrastinate.jobs import Status

from fastopp.errors import FastOppError
from fastopp.tasks.outcome import Outcome, Run
from fastopp.tasks.worker.store import open_store
from fastopp.tasks.worker.takeover import take_over_stalled
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.integration.tasks_fixtures import url_of
from tests.services.tasks import open_project, run_sql

LONG = timedelta(seconds=60)
COLUMNS = (
    "queue_name, task_name, priority, lock, queueing_lock, args, status, scheduled_at, attempts, abort_requested,"
    " worker_id"
)


@pytest.fixture
async def app(plain_url):
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=plain_url.replace("+psycopg", "")))
    async with app.open_async():
        yield app


@pytest.mark.parametrize("plain_url", ["psycopg"], indirect=True)
async def test_the_row_is_the_one_that_procrastinate_writes(plain_project, app):
    at = datetime.now(UTC).replace(microsecond=123000) + timedelta(hours=1)
    queued = await plain_project.tasks.later(at).queue("errands.locked", key="ü", seconds=1.5)
    deferrer = app.configure_task("errands.locked", lock="lock-ü", schedule_at=at)
    theirs = await deferrer.defer_async(key="ü", seconds=1.5)
    rows = await run_sql(plain_project, f"SELECT {COLUMNS} FROM procrastinate_jobs ORDER BY id")
    assert rows[0] == rows[1]
    events = (
        "SELECT type, CASE type WHEN 'scheduled' THEN at END FROM procrastinate_events WHERE job_id = :id ORDER BY 1"
    )
    assert await run_sql(plain_project, events, id=queued.id) == await run_sql(plain_project, events, id=theirs)


@pytest.mark.parametrize("plain_url", ["psycopg"], indirect=True)
async def test_each_runs_what_the_other_has_queued(plain_project, app):
    added = []

    @app.task(name="errands.add", queue="theirs")
    async def add(a: int, b: int) -> None:
        added.append(a + b)

    ours = await app.configure_task("errands.add").defer_async(a=1, b=2)
    cancelled = await app.configure_task("errands.add").defer_async(a=1, b=2)
    assert await app.job_manager.cancel_job_by_id_async(cancelled)
    await plain_project.tasks.drain(LONG)
    assert (await plain_project.tasks.get(ours)).result == 3
    assert await app.job_manager.get_job_status_async(ours) is Status.SUCCEEDED
    assert (await plain_project.tasks.get(cancelled)).status == "cancelled"
    theirs = await plain_project.tasks.queue("errands.add", a=3, b=4)
    await run_sql(plain_project, "UPDATE procrastinate_jobs SET queue_name = 'theirs' WHERE status = 'todo'")
    await app.run_worker_async(wait=False, queues=["theirs"], install_signal_handlers=False)
    assert added == [7]
    assert (await plain_project.tasks.get(theirs.id)).status == "succeeded"


class Walk:
    """What many processes do with a queue, by chance, on one kind of database."""

    def __init__(self, project, store, seed):
        self.project, self.store, self.random = project, store, random.Random(seed)
        self.workers, self.held = {}, {}

    async def step(self):
        """Do one thing, and return what can be seen of it."""
        what = self.random.choice(("queue", "queue", "fetch", "fetch", "finish", "finish", "steer", "claim", "die"))
        try:
            return what, await getattr(self, what)()
        except FastOppError as error:
            return what, type(error).__name__

    async def queue(self):
        name = self.random.choice(("errands.trivial", "errands.single", "errands.locked"))
        args = {"key": self.random.choice("ab")} if name == "errands.locked" else {}
        later = timedelta(hours=self.random.choice((-1, -1, -1, 1)))
        job = await self.project.tasks.later(later).queue(name, **args)
        priority = self.random.choice((0, 0, 5, -5))
        await run_sql(
            self.project, "UPDATE procrastinate_jobs SET priority = :priority WHERE id = :id",
            priority=priority, id=job.id,
        )  # fmt: skip
        return job.id

    async def worker(self):
        name = self.random.choice("ab")
        if name not in self.workers:
            self.workers[name] = await self.store.sign_on()
        return self.workers[name]

    async def fetch(self):
        worker, queues = await self.worker(), self.random.choice((None, None, ["default"], ["other", "x"]))
        jobs = await self.store.fetch(queues, worker, self.random.choice((1, 3)))
        self.held |= {job.id: worker for job in jobs}
        return jobs

    async def claim(self):
        worker, jobs = await self.worker(), await self.project.tasks.list(limit=100)
        if not jobs:
            return None
        claimed = await self.store.claim(self.random.choice(jobs).id, worker)
        self.held |= {job.id: worker for job in claimed}
        return claimed

    async def finish(self):
        worker, result = await self.worker(), self.random.choice((None, "text", {"a": [1, 2.5, None]}, 0))
        outcomes = []
        for id_ in sorted(self.held)[:3]:  # the other worker's too, which changes nothing
            status = self.random.choice(("succeeded", "failed", "aborted", "todo", "todo"))
            run = self.random.choice((None, Run(done=1, total=2, message="ü", result=result, error="e")))
            pause = self.random.choice((0.0, 3600.0)) if status == "todo" else 0.0
            outcomes.append(
                Outcome(job_id=id_, status=status, counted=self.random.choice((True, False)), pause=pause, run=run)
            )
        mine = await self.store.finish(outcomes, worker)
        self.held = {id_: worker for id_, worker in self.held.items() if id_ not in mine}
        return sorted(mine)

    async def steer(self):
        jobs = await self.project.tasks.list(limit=100)
        if not jobs:
            return None
        steer = self.random.choice((self.project.tasks.cancel, self.project.tasks.retry))
        return (await steer(self.random.choice(jobs).id)).status

    async def die(self):
        worker = await self.worker()
        stale = "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000' WHERE id = :id"
        await run_sql(self.project, stale, id=worker)
        taken = await take_over_stalled(self.store.database, self.project.task_process)
        self.workers = {name: id_ for name, id_ in self.workers.items() if id_ != worker}
        self.held = {id_: other for id_, other in self.held.items() if other != worker}
        return taken

    async def tables(self):
        """Everything but times and results."""
        statements = (
            "SELECT id, queue_name, task_name, priority, lock, queueing_lock, CAST(status AS VARCHAR(20)),"
            " scheduled_at IS NULL, attempts, CAST(abort_requested AS INTEGER) FROM procrastinate_jobs ORDER BY id",
            "SELECT job_id, CAST(type AS VARCHAR(20)) FROM procrastinate_events ORDER BY job_id, id",
            "SELECT job_id, done, total, message, error FROM task_runs ORDER BY job_id",
        )
        statuses = [(each.id, each.status, each.result) for each in await self.project.tasks.list(limit=100)]
        return [await run_sql(self.project, each) for each in statements], statuses


@pytest.fixture
def both_urls(request, tmp_path):
    """A database of each kind."""
    return [url_of(kind, request, tmp_path) for kind in ("sqlite", "psycopg")]


@pytest.mark.parametrize("_", range(3))
async def test_both_databases_do_the_same(both_urls, _):
    seed, urls = random.randrange(10**6), both_urls
    async with (
        open_project(urls[0], make=False) as one,
        open_project(urls[1], make=False) as other,
        open_store(one) as here,
        open_store(other) as there,
    ):
        walks = Walk(one, here, seed), Walk(other, there, seed)
        for _ in range(60):
            first, second = [await walk.step() for walk in walks]
            assert first == second, f"seed {seed}"
        first, second = [await walk.tables() for walk in walks]
        assert first == second, f"seed {seed}"
