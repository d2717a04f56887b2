"""Databases with queues: FastOpp's on both, procrastinate's and pgqueuer's on the same PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.server import ROOT
from benchmarks.task_peers import PeerProcess, peer_process
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings
from tests.services.front import Front, Network
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres

TABLES = ("procrastinate_events", "procrastinate_periodic_defers", "procrastinate_jobs", "procrastinate_workers")


@dataclass(frozen=True, slots=True)
class QueueDatabase:
    """A database with the queue of one peer.

    Parameters
    ----------
    name: of its table's line.
    peer: which process works it.
    far: its URL through a network that is far.
    """

    name: str
    peer: str
    url: str
    far: str = ""
    postgres: Postgres | None = None
    database: str = ""

    def empty(self) -> None:
        """Forget all jobs."""
        if self.postgres is None:
            self._in_sqlite(*(f"DELETE FROM {table}" for table in ("task_runs", *TABLES)))
        elif self.peer == "pgqueuer":
            self.postgres.execute("TRUNCATE pgqueuer, pgqueuer_log", database=self.database)
        else:
            # As long-lived tables are: without the rows of earlier runs, and with statistics.
            self.postgres.execute(f"TRUNCATE {', '.join(TABLES)} CASCADE", "ANALYZE", database=self.database)

    def fill(self, jobs: int) -> None:
        """Queue trivial jobs, by SQL."""
        insert = "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, status, attempts)"
        if self.postgres is None:
            numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})"
            self._in_sqlite(f"{numbers} {insert} SELECT 'default', 'trivial', 0, '{{}}', 'todo', 0 FROM n")
        elif self.peer == "pgqueuer":
            with self.process() as process:
                process.seconds("batch", jobs)
        else:
            select = f"SELECT 'default', 'trivial', 0, '{{}}', 'todo', 0 FROM generate_series(1, {jobs})"
            self.postgres.execute(f"{insert} {select}", database=self.database)

    def left(self) -> int:
        """Jobs that have not succeeded."""
        count = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'trivial' AND status <> 'succeeded'"
        if self.postgres is None:
            return int(self._in_sqlite(count)[0][0])
        import psycopg  # noqa: PLC0415 - SQLite needs it not

        table = "SELECT count(*) FROM pgqueuer" if self.peer == "pgqueuer" else count
        where = {"host": self.postgres.socket_folder, "user": "postgres", "dbname": self.database}
        with psycopg.connect(**where) as connection:
            row = connection.execute(table).fetchone()  # type: ignore[call-overload] # text of this module
            return int(row[0]) if row else 0

    @contextlib.contextmanager
    def process(self, *, far: bool = False) -> Iterator[PeerProcess]:
        """A process that works it."""
        with peer_process(self.peer, self.far if far else self.url) as process:
            yield process

    def _in_sqlite(self, *statements: str) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"), timeout=30)) as connection:
            for statement in statements:
                rows = connection.execute(statement).fetchall()
            connection.commit()
        return rows


@asynccontextmanager
async def queue_databases(folder: Path, delay: float) -> AsyncIterator[dict[str, QueueDatabase]]:
    """All of them, by name; far is through a network that adds `delay` seconds a round trip."""
    with Postgres() as postgres, Front(postgres.socket_path) as front, Network(front.host, front.port) as network:
        network.delay = delay

        def on_postgres(name: str, peer: str) -> QueueDatabase:
            database = postgres.create_database()
            far = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{network.port}/{database}?sslmode=disable"
            return QueueDatabase(name, peer, postgres.url(database), far, postgres, database)

        ours = on_postgres("FastOpp, PostgreSQL", "FastOpp")
        sqlite = QueueDatabase("FastOpp, SQLite", "FastOpp", f"sqlite:///{folder}/queue.db")
        for database in (ours, sqlite):
            settings = load_settings({"DATABASE_URL": database.url}, env_file=Path("/nowhere"))
            await migrate.upgrade(settings, folder=ROOT / "alembic")
        raw, pgqueuer = on_postgres("procrastinate 3", "procrastinate"), on_postgres("pgqueuer 1.6", "pgqueuer")
        for database in (raw, pgqueuer):
            with database.process() as process:
                process.seconds("install", 0)
        yield {"ours": ours, "sqlite": sqlite, "raw": raw, "pgqueuer": pgqueuer}
