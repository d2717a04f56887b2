"""What every connector of procrastinate must do. Subclass `TaskConformance` for tests that run on each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import procrastinate
import psycopg
import pytest
from procrastinate import jobs, testing
from procrastinate.schema import SchemaManager

from fastopp.tasks.queue.sqlite.connector import SQLiteConnector
from tests.services.postgres import Postgres

BACKENDS = ("postgresql", "sqlite", "memory")


def utcnow() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def nothing(**_arguments: Any) -> None:
    """A task."""


def fail(**_arguments: Any) -> NoReturn:
    """A task that fails."""
    raise ValueError("it failed")


class TaskQueue:
    """An App on a connector, and what a test wants to see or change behind its back."""

    def __init__(self, backend: str, connector: Any) -> None:
        self.backend = backend
        self.connector = connector
        self.app = procrastinate.App(connector=connector)
        self.manager = self.app.job_manager
        self.app.task(name="nothing")(nothing)
        self.app.task(name="fail")(fail)

    def skip_memory(self, reason: str) -> None:
        """Leave a test out where procrastinate's in-memory connector itself cannot do it."""
        if self.backend == "memory":
            pytest.skip(f"procrastinate's InMemoryConnector {reason}")

    async def defer(self, name: str = "nothing", args: dict[str, Any] | None = None, **options: Any) -> int:
        return await self.app.configure_task(name, **options).defer_async(**(args or {}))

    async def job(self, job_id: int) -> jobs.Job:
        (job,) = await self.manager.list_jobs_async(id=job_id)
        return job

    async def status(self, job_id: int) -> str:
        return (await self.manager.get_job_status_async(job_id)).value

    async def fetch(self, worker_id: int | None = None, queues: list[str] | None = None) -> jobs.Job | None:
        """Take a job, as a new worker unless told otherwise."""
        worker_id = worker_id or await self.manager.register_worker()
        return await self.manager.fetch_job(queues=queues, worker_id=worker_id)

    async def take(self, job_id: int, worker_id: int | None = None) -> jobs.Job:
        """Take the next job, which must be this one."""
        job = await self.fetch(worker_id)
        assert job
        assert job.id == job_id
        return job

    async def finish(self, job: jobs.Job, status: str = "succeeded", *, delete_job: bool = False) -> None:
        await self.manager.finish_job(job, jobs.Status(status), delete_job=delete_job)

    async def work(self, **options: Any) -> None:
        """Run a worker until nothing is left to do."""
        settings = {"wait": False, "install_signal_handlers": False, "listen_notify": False} | options
        await self.app.run_worker_async(**settings)

    async def query(self, statement: str, **arguments: Any) -> list[dict[str, Any]]:
        return list(await self.connector.execute_query_all_async(statement, **arguments))

    async def execute(self, statement: str, **arguments: Any) -> None:
        await self.connector.execute_query_async(statement, **arguments)

    async def events(self, job_id: int) -> list[str]:
        rows = await self.query("SELECT type FROM procrastinate_events WHERE job_id = %(id)s ORDER BY id", id=job_id)
        return [row["type"] for row in rows]

    async def age_worker(self, worker_id: int, **ago: float) -> None:
        """Make a worker's last sign of life older."""
        at = utcnow() - dt.timedelta(**ago)
        if self.backend == "memory":
            self.connector.workers[worker_id] = at
            return
        statement = "UPDATE procrastinate_workers SET last_heartbeat = %(at)s WHERE id = %(id)s"
        await self.execute(statement, at=at, id=worker_id)

    async def age_events(self, job_id: int, **ago: float) -> None:
        """Make all that happened to a job older."""
        at = utcnow() - dt.timedelta(**ago)
        if self.backend == "memory":
            for event in self.connector.events[job_id]:
                event["at"] = at
            return
        await self.execute("UPDATE procrastinate_events SET at = %(at)s WHERE job_id = %(id)s", at=at, id=job_id)


class TaskConformance:
    """Tests in subclasses run on every connector that they ask a `queue` for."""

    @pytest.fixture(scope="class")
    @classmethod
    def procrastinate_url(cls, postgres: Postgres) -> Iterator[str]:
        """A database with procrastinate's own schema."""
        name = postgres.create_database()
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            connection.execute(SchemaManager.get_schema())
        yield postgres.url(name)
        postgres.drop_database(name)

    @pytest.fixture(params=BACKENDS)
    async def queue(self, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TaskQueue]:
        """An empty queue of each kind."""
        connector: Any = testing.InMemoryConnector()
        if request.param == "sqlite":
            connector = SQLiteConnector(tmp_path / "tasks.db")
        elif request.param == "postgresql":
            url = request.getfixturevalue("procrastinate_url")
            connector = procrastinate.PsycopgConnector(conninfo=url, min_size=1)
        queue = TaskQueue(request.param, connector)
        async with queue.app.open_async():
            if request.param == "sqlite":
                await SchemaManager(connector).apply_schema_async()
            elif request.param == "postgresql":
                await queue.execute(
                    "TRUNCATE procrastinate_jobs, procrastinate_workers, procrastinate_events, "
                    "procrastinate_periodic_defers RESTART IDENTITY"
                )
            yield queue
