"""SQLite and PostgreSQL side by side: whatever is done to a queue, in whatever order, has the same outcome on both."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import procrastinate
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from procrastinate import exceptions, jobs
from procrastinate.schema import SchemaManager

from fastopp.tasks.queue.sqlite.connector import SQLiteConnector
from tests.services.postgres import Postgres
from tests.task_conformance import TaskQueue

PAST, FUTURE = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
TABLES = ("procrastinate_periodic_defers", "procrastinate_events", "procrastinate_jobs", "procrastinate_workers")

which = st.integers(0, 7)  # a job or a worker among those there are
flag = st.booleans()
deferring = {
    "queue": st.sampled_from("xy"),
    "priority": st.integers(-1, 1),
    "lock": st.sampled_from([None, "a", "b"]),
    "queueing_lock": st.sampled_from([None, None, "q", "r"]),
    "schedule_at": st.sampled_from([None, None, PAST, FUTURE]),
}
steps = st.one_of(
    st.tuples(st.just("defer"), st.fixed_dictionaries(deferring | {"number": st.integers(1, 2)})),
    st.tuples(st.just("fetch"), st.fixed_dictionaries({"worker": which, "queues": st.sampled_from([None, ["x"], []])})),
    st.tuples(
        st.just("finish"),
        st.fixed_dictionaries(
            {"which": which, "status": st.sampled_from(["succeeded", "failed", "aborted"]), "delete_job": flag}
        ),
    ),
    st.tuples(st.just("cancel"), st.fixed_dictionaries({"which": which, "abort": flag, "delete_job": flag})),
    st.tuples(
        st.just("retry"),
        st.fixed_dictionaries(
            {
                "which": which,
                "retry_at": st.sampled_from([PAST, FUTURE]),
                "priority": st.sampled_from([None, 2]),
                "queue": st.sampled_from([None, "y"]),
                "lock": st.sampled_from([None, "b"]),
            }
        ),
    ),
    st.tuples(
        st.just("periodic"),
        st.fixed_dictionaries({"later": st.integers(0, 2), "queueing_lock": st.sampled_from([None, "q"])}),
    ),
    st.tuples(st.just("replace_worker"), st.fixed_dictionaries({"worker": which})),
)


class Side:
    """One of the two databases. Numbers that it gives are known by their order, since gaps in them may differ."""

    def __init__(self, queue: TaskQueue) -> None:
        self.queue = queue
        self.manager = queue.manager
        self.ids: list[int] = []
        self.workers: list[int] = []
        self.slot = 1

    async def begin(self) -> None:
        self.slot = 1
        for table in TABLES:
            await self.queue.execute(f"DELETE FROM {table}")
        self.ids = []
        self.workers = [await self.manager.register_worker() for _ in range(2)]

    async def step(self, name: str, options: dict[str, Any]) -> object:
        """What came of it: an answer, or the name of an error."""
        try:
            return await getattr(self, name)(**options)
        except exceptions.ProcrastinateException as error:
            return type(error).__name__

    async def defer(self, number: int, **options: Any) -> None:
        deferrer = self.queue.app.configure_task("nothing", **options)
        self.ids += await deferrer.batch_defer_async(*({"n": n} for n in range(number)))

    async def fetch(self, worker: int, queues: list[str] | None) -> int | None:
        job = await self.manager.fetch_job(queues, self.workers[worker % 2])
        return job and self.ids.index(job.id or 0)

    def find(self, which: int) -> int:
        return self.ids[which % len(self.ids)] if self.ids else 0

    async def finish(self, which: int, status: str, *, delete_job: bool) -> None:
        await self.manager.finish_job_by_id_async(self.find(which), jobs.Status(status), delete_job)

    async def cancel(self, which: int, *, abort: bool, delete_job: bool) -> bool:
        return await self.manager.cancel_job_by_id_async(self.find(which), abort=abort, delete_job=delete_job)

    async def retry(self, which: int, **options: Any) -> None:
        await self.manager.retry_job_by_id_async(self.find(which), **options)

    async def periodic(self, later: int, queueing_lock: str | None) -> bool:
        """Queue a slot that is no older than the last: SQLite refuses older ones, which procrastinate takes."""
        self.slot += later
        arguments: dict[str, Any] = {"timestamp": self.slot}
        job = jobs.Job(queue="x", lock=None, queueing_lock=queueing_lock, task_name="nothing", task_kwargs=arguments)
        job_id = await self.manager.defer_periodic_job(job, "", self.slot)
        self.ids += [job_id] if job_id else []
        return job_id is not None

    async def replace_worker(self, worker: int) -> None:
        await self.manager.unregister_worker(self.workers[worker % 2])
        self.workers[worker % 2] = await self.manager.register_worker()

    async def state(self) -> dict[str, Any]:
        """All that is in the tables."""
        found = [
            job.evolve(id=self.ids.index(job.id or 0), worker_id=job.worker_id and self.workers.index(job.worker_id))
            for job in await self.manager.list_jobs_async()
        ]
        events: dict[int, list[str]] = {}
        for row in await self.queue.query("SELECT job_id, type FROM procrastinate_events ORDER BY id"):
            events.setdefault(self.ids.index(row["job_id"]), []).append(row["type"])
        slots = await self.queue.query("SELECT defer_timestamp, job_id FROM procrastinate_periodic_defers ORDER BY 1")
        return {
            "jobs": [job.asdict() for job in found],
            "events": events,
            "slots": [(row["defer_timestamp"], row["job_id"] and self.ids.index(row["job_id"])) for row in slots],
            "stalled": {self.ids.index(job.id or 0) for job in await self.manager.get_stalled_jobs()},
        }


@pytest.fixture
def sides(postgres: Postgres, tmp_path: Path) -> Iterator[tuple[asyncio.Runner, list[Side]]]:
    """Both databases, open, and the loop that they are open in."""
    name = postgres.create_database()
    with psycopg.connect(postgres.url(name), autocommit=True) as connection:
        connection.execute(SchemaManager.get_schema())
    sqlite = SQLiteConnector(tmp_path / "tasks.db")
    sqlite.open()
    SchemaManager(sqlite).apply_schema()
    real = procrastinate.PsycopgConnector(conninfo=postgres.url(name), min_size=1, max_size=1)
    with asyncio.Runner() as runner:
        runner.run(real.open_async())
        yield runner, [Side(TaskQueue("postgresql", real)), Side(TaskQueue("sqlite", sqlite))]
        runner.run(real.close_async())
        runner.run(sqlite.close_async())
    postgres.drop_database(name)


def test_whatever_happens_happens_on_both(sides: tuple[asyncio.Runner, list[Side]]) -> None:
    runner, both = sides

    async def compare(sequence: list[tuple[str, dict[str, Any]]]) -> None:
        for side in both:
            await side.begin()
        for name, options in sequence:
            expected, found = [await side.step(name, options) for side in both]
            assert found == expected, name
        expected, found = [await side.state() for side in both]
        assert found == expected

    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=5, max_size=30))
    def run(sequence: list[tuple[str, dict[str, Any]]]) -> None:
        runner.run(compare(sequence))

    run()
