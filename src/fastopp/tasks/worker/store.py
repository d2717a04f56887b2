"""The jobs of one worker in the database: taken, reported on, ended. Every change is to the worker's own jobs only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Row, delete, exists, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.database.engine import create_engine
from fastopp.database.errors import unavailable
from fastopp.database.session import Database
from fastopp.errors import Unavailable
from fastopp.tasks.clock import from_now
from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.models import has_status, jobs, runs, traces, workers
from fastopp.tasks.outcome import Outcome, Run
from fastopp.tasks.worker.statements import POSTGRESQL, SQLITE

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

CONNECTIONS = 3
"""Of one worker at most: one takes jobs, one writes their ends, one is for progress and heartbeats."""

_other = jobs.alias("other")
_INSERT = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


class Clash(Unavailable):
    """Another process has taken a job with the same lock at the same moment, or has taken this worker for dead."""


class Job(NamedTuple):
    """A job that is this worker's."""

    id: int
    task_name: str
    args: dict[str, Any]
    attempts: int
    """The attempts before this one."""
    lock: str | None
    priority: int

    @classmethod
    def of(cls, row: Row[Any]) -> Job:
        """Return the job of a row."""
        return cls(row.id, row.task_name, row.args, row.attempts, row.lock, row.priority)

    def order(self) -> tuple[int, int]:
        """Return the key by which jobs are done."""
        return -self.priority, self.id


class JobStore:
    """Runs a worker's statements. All methods raise DatabaseUnavailable, TablesMissing."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._statements = POSTGRESQL if database.url.backend == "postgresql" else SQLITE

    async def sign_on(self) -> int:
        """Add a worker, and return its id."""
        async with self._connect() as connection:
            added = insert(workers).values(last_heartbeat=from_now()).returning(workers.c.id)
            worker_id: int = (await connection.execute(added)).scalar_one()
        return worker_id

    async def heartbeat(self, worker_id: int) -> bool:
        """Send a heartbeat; whether the worker is still known."""
        return await self._changes(
            update(workers).where(workers.c.id == worker_id).values(last_heartbeat=from_now()).returning(workers.c.id)
        )

    async def sign_off(self, worker_id: int) -> None:
        """Remove a worker."""
        await self._changes(delete(workers).where(workers.c.id == worker_id).returning(workers.c.id))

    async def fetch(self, queues: Collection[str] | None, worker_id: int, limit: int) -> list[Job]:
        """Take the next jobs, the first to be done first. Raises Clash."""
        given = {"queues": json.dumps(list(queues)) if queues else None, "worker_id": worker_id, "limit": limit}
        async with self._connect() as connection:
            rows = (await connection.execute(self._statements.fetch, given)).all()
        return sorted((Job.of(row) for row in rows), key=Job.order)

    async def claim(self, job_id: int, worker_id: int) -> list[Job]:
        """Take this job, whether or not its time has come; nothing when it does not wait or its lock is held.

        Raises Clash.
        """
        held = exists().where(_other.c.lock == jobs.c.lock, _other.c.status == "doing")
        claimed = (
            update(jobs)
            .where(jobs.c.id == job_id, jobs.c.status == "todo", ~held)
            .values(status="doing", worker_id=worker_id, scheduled_at=None)
            .returning(jobs)
        )
        async with self._connect() as connection:
            return [Job.of(row) for row in await connection.execute(claimed)]

    async def held(self, worker_id: int) -> dict[int, bool]:
        """Return the jobs that the database has as this worker's, and whether each is to be aborted."""
        query = select(jobs.c.id, jobs.c.abort_requested).where(jobs.c.worker_id == worker_id, has_status("doing"))
        async with self._connect() as connection:
            return {row.id: row.abort_requested for row in await connection.execute(query)}

    async def finish(self, outcomes: Sequence[Outcome], worker_id: int) -> set[int]:
        """Write outcomes, and return the ids of those jobs that were still this worker's."""
        given = {"outcomes": json.dumps([each.as_json() for each in outcomes]), "worker_id": worker_id}
        async with self._connect() as connection:
            if self._statements.keep is not None and any(outcome.run for outcome in outcomes):
                await connection.execute(self._statements.keep, given)
            return set((await connection.execute(self._statements.finish, given)).scalars())

    async def put_back(self, ids: Iterable[int], worker_id: int) -> None:
        """Return jobs that were not begun to the queue."""
        if outcomes := [Outcome(job_id=each, status="todo", counted=False) for each in ids]:
            await self.finish(outcomes, worker_id)

    async def places(self, ids: Collection[int]) -> dict[int, dict[str, Any]]:
        """Return the checkpoints of earlier attempts of jobs.

        It is a separate query: a join inside `fetch` would read an older snapshot.
        """
        async with self._connect() as connection:
            rows = await connection.execute(select(runs.c.job_id, runs.c.place).where(runs.c.job_id.in_(ids)))
            return {row.job_id: row.place for row in rows}

    async def traceparent(self, job_id: int) -> str:
        """Return the span that queued a job; empty if that was not sampled."""
        async with self._connect() as connection:
            query = select(traces.c.traceparent).where(traces.c.job_id == job_id)
            found: str | None = (await connection.execute(query)).scalar()
        return found or ""

    async def report(self, job_id: int, worker_id: int, run: Run) -> bool:
        """Write progress; whether the job is still this worker's."""
        return await self._keep(job_id, worker_id, done=run.done, total=run.total, message=run.message)

    async def save_place(self, job_id: int, worker_id: int, place: dict[str, Any]) -> bool:
        """Write the place; whether the job is still this worker's. Raises TypeError, ValueError: it is no JSON."""
        text = json.dumps(place, allow_nan=False, ensure_ascii=False)
        if len(text.encode()) > MAX_ARGUMENTS or "\\u0000" in text:
            raise ValueError("The checkpoint is too large, or contains a NUL character.")
        return await self._keep(job_id, worker_id, place=place or None)

    async def _keep(self, job_id: int, worker_id: int, **values: Any) -> bool:  # noqa: ANN401 - of many types
        columns: dict[str, Any] = {name: literal(value, runs.c[name].type) for name, value in values.items()}
        columns["updated_at"] = from_now()
        mine = select(jobs.c.id, *columns.values()).where(
            jobs.c.id == job_id, jobs.c.worker_id == worker_id, jobs.c.status == "doing"
        )
        statement: Any = _INSERT[self.database.url.backend](runs).from_select(["job_id", *columns], mine)
        kept = {name: statement.excluded[name] for name in columns}
        return await self._changes(
            statement.on_conflict_do_update(index_elements=["job_id"], set_=kept).returning(runs.c.job_id)
        )

    async def _changes(self, statement: Any) -> bool:  # noqa: ANN401 - one that returns rows
        async with self._connect() as connection:
            return (await connection.execute(statement)).first() is not None

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.database.autocommit() as connection:
                yield connection
        except IntegrityError as error:
            raise Clash from error
        except DBAPIError as error:
            raise unavailable(self.database.url.masked, error.orig or error) from error


@asynccontextmanager
async def open_store(runtime: Host) -> AsyncIterator[JobStore]:
    """Open a worker's own connections, which no task and no request can use up; they connect when first used."""
    url, timeout = runtime.database.url, runtime.settings.db_timeout
    if url.backend == "postgresql":
        url = replace(url, driver="psycopg")  # asyncpg takes more round trips behind a pooler
    # SQLite has one writer at a time: more connections would only wait for each other.
    connections = 1 if url.backend == "sqlite" else CONNECTIONS
    engine = create_engine(url, pool_size=connections, max_overflow=0, timeout=timeout)
    try:
        yield JobStore(Database(url, engine))
    finally:
        await engine.dispose()
