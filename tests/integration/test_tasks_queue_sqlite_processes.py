"""Several processes on one file, and what is left of it when some are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import procrastinate
import pytest

from fastopp.tasks.queue.sqlite.connector import SQLiteConnector
from tests.services import forks

# Writes a line at the start and at the end of each job: lines appended to a file are in the order of what happened.
WORKER = """
import asyncio, os, sys, procrastinate
from fastopp.tasks.queue.sqlite.connector import SQLiteConnector

app = procrastinate.App(connector=SQLiteConnector(sys.argv[1]))
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@app.task(name="job", pass_context=True)
async def job(context):
    os.write(log, f"start {context.job.id} {context.job.lock}\\n".encode())
    await asyncio.sleep(0.001)
    os.write(log, f"end {context.job.id} {context.job.lock}\\n".encode())

async def work():
    async with app.open_async():
        while await app.job_manager.list_jobs_async(status="todo"):  # it goes when all that wait need a lock
            await app.run_worker_async(wait=False, concurrency=3, install_signal_handlers=False)

asyncio.run(work())
"""

DEFERRER = """
import sys, procrastinate
from fastopp.tasks.queue.sqlite.connector import SQLiteConnector

app = procrastinate.App(connector=SQLiteConnector(sys.argv[1]))
with app.open():
    while True:
        for job_id in app.configure_task("job").batch_defer(*({"n": n} for n in range(7))):
            print(job_id, flush=True)
"""

COMMANDS = """
import sys, procrastinate
from fastopp.tasks.queue.sqlite.connector import SQLiteConnector

app = procrastinate.App(connector=SQLiteConnector({path!r}))

@app.task(name="job")
def job(): ...
"""

Start = Callable[..., "forks.Program"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[procrastinate.App]:
    app = procrastinate.App(connector=SQLiteConnector(tmp_path / "tasks.db"))
    with app.open():
        app.schema_manager.apply_schema()
        yield app
    app.connector.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a program on the file, and kills it after the test."""
    with ExitStack() as stack:

        def start_one(program: str) -> forks.Program:
            words = ["-W", "ignore", "-c", program, tmp_path / "tasks.db", tmp_path / "log"]
            process = stack.enter_context(forks.Program(words, stdout=forks.PIPE, text=True))
            stack.callback(process.kill)
            return process

        yield start_one


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def log(tmp_path: Path) -> list[tuple[str, int, str]]:
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    return [(what, int(job_id), lock) for what, job_id, lock in (line.split() for line in lines)]


def assert_whole(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "tasks.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()


def test_each_job_once_and_locks_respected(app: procrastinate.App, start: Start, tmp_path: Path) -> None:
    ids = []
    for lock in ("a", "b", None, None):
        ids += app.configure_task("job", lock=lock).batch_defer(*({} for _ in range(125)))
    workers = [start(WORKER) for _ in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    steps = log(tmp_path)
    assert Counter(what for what, _, _ in steps) == {"start": 500, "end": 500}
    assert sorted(job_id for what, job_id, _ in steps if what == "end") == ids
    for name in ("a", "b"):
        done = [(what, job_id) for what, job_id, lock in steps if lock == name]
        in_turn = sorted({job_id for _, job_id in done})
        assert done == [(what, job_id) for job_id in in_turn for what in ("start", "end")]
    assert {(job.status, job.attempts, job.worker_id) for job in app.job_manager.list_jobs()} == {
        ("succeeded", 1, None)
    }
    assert_whole(tmp_path)


async def test_a_killed_worker_leaves_its_jobs_to_be_taken_over(tmp_path: Path, start: Start) -> None:
    app = procrastinate.App(connector=SQLiteConnector(tmp_path / "tasks.db"))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        manager = app.job_manager
        ids = await app.configure_task("job").batch_defer_async(*({} for _ in range(300)))
        workers = [start(WORKER) for _ in range(2)]
        until(lambda: (tmp_path / "log").exists() and len(log(tmp_path)) > 100)
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert_whole(tmp_path)
        stalled = list(await manager.get_stalled_jobs(seconds_since_heartbeat=-1))
        assert {job.id for job in stalled} == {job.id for job in await manager.list_jobs_async(status="doing")}
        finished = {job.id for job in await manager.list_jobs_async(status="succeeded")}
        assert finished <= {job_id for what, job_id, _ in log(tmp_path) if what == "end"}
        await manager.prune_stalled_workers(-1)
        for job in stalled:
            await manager.retry_job(job)
        assert start(WORKER).wait(60) == 0
        counts = Counter(job_id for what, job_id, _ in log(tmp_path) if what == "end")
        assert sorted(counts) == ids
        assert all(count == 1 for job_id, count in counts.items() if job_id in finished)
        assert {job.status for job in await manager.list_jobs_async()} == {"succeeded"}


def test_a_killed_deferrer_loses_nothing_that_it_was_told_of(
    app: procrastinate.App, start: Start, tmp_path: Path
) -> None:
    deferrers = [start(DEFERRER) for _ in range(2)]
    told = []
    for deferrer in deferrers:
        assert deferrer.stdout
        told += [int(deferrer.stdout.readline()) for _ in range(100)]
    for deferrer in deferrers:
        os.kill(deferrer.pid, signal.SIGKILL)
        assert deferrer.stdout
        told += [int(line) for line in deferrer.stdout.read().split("\n")[:-1]]
    found = [job.id for job in app.job_manager.list_jobs()]
    assert set(told) <= set(found)
    assert len(told) == len(set(told))
    assert len(found) % 7 == 0
    assert_whole(tmp_path)


def test_procrastinates_own_commands(tmp_path: Path) -> None:
    (tmp_path / "jobs_app.py").write_text(COMMANDS.format(path=str(tmp_path / "tasks.db")))

    def procrastinate_command(*arguments: str) -> str:
        words = ["-m", "procrastinate", "--app", "jobs_app.app", *arguments]
        done = forks.run(words, cwd=tmp_path, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    procrastinate_command("schema", "--apply")
    assert "OK" in procrastinate_command("healthchecks")
    procrastinate_command("defer", "job")
    procrastinate_command("worker", "--one-shot")
    assert "succeeded: 1" in procrastinate_command("shell", "list_queues")
    assert_whole(tmp_path)
