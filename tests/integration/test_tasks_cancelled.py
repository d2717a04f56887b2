"""Tasks that are cancelled at any moment while others hold the locks that they wait for.

A cancelled function that waits for a lock does not end at once: its try is over, and it is still at work.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import timedelta

import psycopg
import pytest

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.limits import TaskLimits
from fastopp.tasks.retry import Retry
from tests.gate import only_full
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.tasks import all_alone, effects, open_project, run_sql, until

WALKS = 60
STEPS = 6
BUDGETS = (0.05, 0.2, 0.5)  # seconds
HOLD = (0.01, 0.1, 0.4)  # seconds
LONG = timedelta(seconds=60)
LIMITS = TaskLimits(cancel_grace=0.03, interruptions=10_000, database_away=Retry(first=0.05, factor=1))


@contextmanager
def locks(url: str, seed: int) -> Iterator[None]:
    """Somebody who takes locks now and then, and lets go of them again."""
    over = threading.Event()
    holding = threading.Thread(target=_hold, args=(url, random.Random(seed), over))
    holding.start()
    try:
        yield
    finally:
        over.set()
        holding.join()


def _hold(url: str, choose: random.Random, over: threading.Event) -> None:
    if url.startswith("sqlite:///"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        statements = ["BEGIN IMMEDIATE"]
    else:
        connection = psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))
        tables = ("effects", "task_runs", "procrastinate_jobs")
        statements = [f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE" for table in tables]
    with closing(connection):
        while not over.is_set():
            with suppress(sqlite3.OperationalError):  # others had it for long
                connection.execute(choose.choice(statements))
                time.sleep(choose.choice(HOLD))
                connection.rollback()
            time.sleep(choose.uniform(0, 0.2))


async def all_over(project) -> bool:
    """Whether nothing is left, once a drain had all the time it wanted."""
    await run_sql(project, "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE status = 'todo'")
    await project.tasks.drain(LONG)
    return not await run_sql(project, "SELECT id FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")


@pytest.mark.parametrize("seconds", [3, *only_full(20)])  # of budgets that end soon, and locks
async def test_every_step_is_done_once(plain_url, seconds):
    seed = random.randrange(10**6)
    choose = random.Random(seed)
    end = time.monotonic() + seconds

    async def drain_again_and_again(project):
        while time.monotonic() < end:
            try:
                await project.tasks.drain(timedelta(seconds=choose.choice(BUDGETS)))
            except DatabaseUnavailable:
                await asyncio.sleep(0.01)

    async with open_project(plain_url, make=False, limits=LIMITS, DB_TIMEOUT="1") as project:
        for number in range(WALKS):
            await project.tasks.queue("errands.walk", name=f"walk {number}", total=STEPS)
        with locks(plain_url, seed):
            await asyncio.gather(*(drain_again_and_again(project) for _ in range(3)))
        await until(lambda: all_over(project))
        done = Counter(name for name in await effects(project) if name.startswith("walk"))
        expected = [f"walk {number} {step}" for number in range(WALKS) for step in range(STEPS)]
        wrong = {name: done[name] for name in expected if done[name] != 1}
        assert not wrong, f"seed {seed}"
        await all_alone()
