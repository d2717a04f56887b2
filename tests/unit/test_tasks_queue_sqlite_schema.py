from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects import sqlite

from fastopp.tasks.models import jobs
from fastopp.tasks.queue.sqlite import TABLES, schema_sql, schema_statements
from fastopp.tasks.queue.status import is_stalled
from fastopp.tasks.worker.statements import SQLITE


def objects(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    return [(name, " ".join(line for line in sql.split())) for name, sql in rows]


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in schema_statements():
            connection.execute(statement)
        yield connection


def insert(connection: sqlite3.Connection, **values: object) -> int:
    values = {"queue_name": "q", "task_name": "t"} | values
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    cursor = connection.execute(f"INSERT INTO procrastinate_jobs ({names}) VALUES ({marks})", tuple(values.values()))
    return cursor.lastrowid or 0


def test_statements_make_what_the_script_makes(connection: sqlite3.Connection) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as script:
        script.executescript(schema_sql())
        assert objects(connection) == objects(script)


def test_sqlalchemy_sees_no_parameters_in_them() -> None:
    assert [name for statement in schema_statements() for name in text(statement).compile().params] == []


def test_tables_can_be_dropped_in_their_order(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    job = insert(connection, worker_id=1)
    connection.execute("INSERT INTO procrastinate_periodic_defers (task_name, job_id) VALUES ('t', ?)", (job,))
    for table in TABLES:
        connection.execute(f"DROP TABLE {table}")
    assert objects(connection) == [("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)")]


@pytest.mark.parametrize(
    "values",
    [
        {"scheduled_at": "2026-01-02T03:04:05.000000"},
        {"scheduled_at": "2026-01-02 03:04:05"},
        {"scheduled_at": 1767323045},
        {"args": "[]"},
        {"args": '{"a": nan}'},
        {"args": "x"},
        {"status": "done"},
        {"abort_requested": 1},
        {"priority": "high"},
        {"queue_name": "x" * 129},
        {"task_name": None},
    ],
)
def test_what_cannot_be_is_refused(connection: sqlite3.Connection, values: dict[str, object]) -> None:
    with pytest.raises(sqlite3.Error):
        insert(connection, **values)
    insert(connection)


def test_a_client_without_foreign_keys_leaves_no_orphans(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
    job, other = insert(connection, worker_id=1), insert(connection, worker_id=1)
    connection.execute("INSERT INTO procrastinate_periodic_defers (task_name, job_id) VALUES ('t', ?)", (job,))
    connection.execute("DELETE FROM procrastinate_jobs WHERE id = ?", (job,))
    connection.execute("DELETE FROM procrastinate_workers")
    assert connection.execute("SELECT job_id FROM procrastinate_events").fetchall() == [(other,)]
    assert connection.execute("SELECT job_id FROM procrastinate_periodic_defers").fetchall() == [(None,)]
    assert connection.execute("SELECT worker_id FROM procrastinate_jobs").fetchall() == [(None,)]


def test_the_next_job_is_found_without_reading_jobs(connection: sqlite3.Connection) -> None:
    values = {"queues": None, "worker_id": 1, "limit": 10}
    plan = connection.execute(
        f"EXPLAIN QUERY PLAN {SQLITE.fetch.compile(dialect=sqlite.dialect(paramstyle='named'))}", values
    )
    steps = "\n".join(step[-1] for step in plan)
    assert "SCAN job USING COVERING INDEX procrastinate_jobs_priority_idx_v1" in steps
    assert "TEMP B-TREE" not in steps


def test_stalled_jobs_are_found_among_any_number_of_others(connection: sqlite3.Connection) -> None:
    dialect = sqlite.dialect(paramstyle="named")
    statement = select(jobs).where(is_stalled(30)).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    plan = [step[-1] for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}", statement.params)]
    assert any("USING INDEX procrastinate_jobs_doing_idx (status=?" in step for step in plan)
    assert not any(step.startswith("SCAN") for step in plan)
