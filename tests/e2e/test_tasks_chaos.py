"""Thousands of tasks while workers, drains and those who queue are killed and frozen, and the database goes away.

The effects are counted in the database afterwards: none is missing, and none that is fenced is there twice.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter

import pytest
from sqlalchemy import text

from tests.gate import full, only_full
from tests.integration.tasks_fixtures import (
    sqlite_template,  # noqa: F401 - a fixture
    url_of,
)
from tests.services import forks
from tests.services.front import Network
from tests.services.migrations import ROOT
from tests.services.postgres import ENCODED_PASSWORD, USER
from tests.services.tasks import SHORT, open_project, run_sql

JOBS = 40  # for each blow, besides those that are queued meanwhile
# Those that the time is spent on; the last one is one at a time.
KINDS = ("errands.once", "errands.once", "errands.walk", "errands.told", "errands.once", "errands.guarded")
LIMIT = SHORT.stalled_after
OUTAGE = 3.0  # seconds
PATIENCE = 90.0  # seconds without a task done, after which nobody works any more
CAST = ("worker", "worker", "drains", "drains", "defers", "defers")


class Stage:
    """The processes, and what befalls them."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.random = random.Random(seed)
        self.started = 0
        self.processes: list[tuple[str, forks.Program]] = []
        self.begun: set[int] = set()
        self.frozen: dict[int, float] = {}
        self.befell: Counter[str] = Counter()

    def start(self, what: str) -> None:
        self.started += 1
        words = ["-m", "tests.services.tasks_chaos", self.url, what, f"{what}{self.started}"]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = forks.Program(words, cwd=ROOT, env=environment, stdout=forks.PIPE, stderr=forks.DEVNULL)
        assert process.stdout
        os.set_blocking(process.stdout.fileno(), False)
        self.processes.append((what, process))

    def choose(self) -> tuple[str, forks.Program] | None:
        """A process that has begun: what befalls one that still imports proves nothing."""
        for _, process in self.processes:
            if process.pid not in self.begun and process.stdout and process.stdout.read():
                self.begun.add(process.pid)
        begun = [each for each in self.processes if each[1].pid in self.begun]
        return self.random.choice(begun) if begun else None

    def kill(self) -> None:
        """A process dies, and another takes its part."""
        if (chosen := self.choose()) is None:
            return
        self.processes.remove(chosen)
        what, process = chosen
        self.frozen.pop(process.pid, None)
        end(process)
        self.befell[f"killed {what}"] += 1
        self.start(what)

    def freeze(self) -> None:
        """A process is frozen for longer than it takes to count as dead, or for a moment."""
        if (chosen := self.choose()) is None:
            return
        what, process = chosen
        if process.pid not in self.frozen:
            process.send_signal(signal.SIGSTOP)
            self.frozen[process.pid] = time.monotonic() + self.random.choice((0.3, 2.5 * LIMIT))
            self.befell[f"froze {what}"] += 1

    def thaw(self, *, everyone: bool = False) -> None:
        for _, process in self.processes:
            if process.pid in self.frozen and (everyone or self.frozen[process.pid] < time.monotonic()):
                del self.frozen[process.pid]
                process.send_signal(signal.SIGCONT)

    def stop(self, *parts: str) -> None:
        for what, process in self.processes:
            if what in parts:
                process.terminate()
        for what, process in self.processes:
            if what in parts:
                process.wait(30)
                end(process)
        self.processes = [each for each in self.processes if each[0] not in parts]

    def close(self) -> None:
        for _, process in self.processes:
            end(process)


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(params=["pooler", *only_full("sqlite", "psycopg")])
def straight(request, tmp_path):
    """The URL of a database with the tables."""
    return url_of(request.param, request, tmp_path)


@pytest.fixture
def way(straight, request):
    """Whoever listens in front of the database; None where it is a file."""
    if straight.startswith("sqlite"):
        return None
    return request.getfixturevalue("pooler" if "sslmode=require" in straight else "plain_front")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("blows", [4, *only_full(30), pytest.param(100, marks=[full, pytest.mark.timeout(720)])])
async def test_nothing_is_lost_and_nothing_done_twice(straight, way, blows):
    seed = random.randrange(10**6)
    async with open_project(straight, make=False) as project:
        await run_sql(project, "DROP TABLE IF EXISTS wishes")
        await run_sql(project, "CREATE TABLE wishes (name VARCHAR(100), job BIGINT)")
        await queue_many(project, JOBS * blows)
        befell = await play(straight, way, project, seed, blows)
        await count_effects(project, f"seed {seed}, {dict(befell)}")
        await run_sql(project, "DROP TABLE wishes")


async def queue_many(project, count):
    """What is there when it begins."""
    async with project.database.transaction() as session:
        tasks, connection = project.tasks.within(session), await session.connection()
        for number in range(count):
            status = await tasks.queue(KINDS[number % len(KINDS)], name=f"first-{number}")
            wish = {"name": f"first-{number}", "job": status.id}
            await connection.execute(text("INSERT INTO wishes (name, job) VALUES (:name, :job)"), wish)


async def play(straight, way, project, seed, blows):
    """Let it happen, then let the rest be worked in peace."""
    network, url = None, straight
    if way is not None:
        network = Network(way.host, way.port)
        network.__enter__()
        mode = "require" if "sslmode=require" in straight else "disable"
        name = straight.partition("?")[0].rpartition("/")[2]
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{network.port}/{name}?sslmode={mode}"
    stage = Stage(url, seed)
    try:
        for what in CAST:
            stage.start(what)
        await asyncio.sleep(3)
        for blow in range(blows):
            await asyncio.sleep(stage.random.uniform(0.2, 0.6))
            stage.thaw()
            stage.random.choice((stage.kill, stage.freeze))()
            if network and blow == blows // 2:
                with network.away():
                    await asyncio.sleep(OUTAGE)
                stage.befell["database away"] += 1
        stage.thaw(everyone=True)
        await asyncio.to_thread(stage.stop, "defers")
        before, end = None, 0.0
        open_jobs = "SELECT status, count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing') GROUP BY status"
        while left := await run_sql(project, open_jobs):
            if left != before:
                before, end = left, time.monotonic() + PATIENCE
            assert time.monotonic() < end, f"seed {seed}: {left} are left"
            await asyncio.sleep(0.2)
        await asyncio.to_thread(stage.stop, "worker", "drains")
    finally:
        stage.close()
        if network:
            network.__exit__(None, None, None)
    return stage.befell


async def count_effects(project, what_befell):
    wishes = dict(await run_sql(project, "SELECT name, job FROM wishes"))
    jobs = {
        job: (task, status)
        for job, task, status in await run_sql(
            project, "SELECT id, task_name, status FROM procrastinate_jobs WHERE task_name <> 'errands.minutely'"
        )
        if task.startswith("errands.")
    }
    assert set(wishes.values()) == set(jobs), f"{what_befell}: what was wished for is not what was queued"
    unhappy = {job: state for job, state in jobs.items() if state[1] != "succeeded"}
    errors = await run_sql(project, "SELECT job_id, error FROM task_runs WHERE error <> ''")
    assert not unhappy, f"{what_befell}: {unhappy} {[row for row in errors if row[0] in unhappy]}"
    effects = Counter(str(name) for (name,) in await run_sql(project, "SELECT name FROM effects"))
    for name, job in wishes.items():
        task = jobs[job][0]
        expected = [f"{name} {step}" for step in range(3)] if task == "errands.walk" else [name]
        for effect in expected:
            assert effects[effect] == 1 or (task == "errands.told" and effects[effect] > 1), (
                f"{what_befell}: {task}, job {job}: {effect} happened {effects[effect]} times"
            )
    workers = await run_sql(project, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'")
    assert workers == [(0,)]
    sys.stdout.write(f"\n{len(jobs)} jobs, {effects.total()} effects; {what_befell}\n")
