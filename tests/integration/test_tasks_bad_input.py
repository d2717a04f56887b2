"""Tasks that do what nobody expects: none harms another, and none says that something was done which was not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.queue.report import DrainReport
from tests.gate import full
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.tasks import all_alone, effects, run_sql, until

LONG = timedelta(seconds=60)


async def drained(project, name, /, **args):
    queued = await project.tasks.queue(name, **args)
    await project.tasks.drain(LONG)
    return await project.tasks.get(queued.id)


async def test_a_place_goes_back_with_its_transaction(plain_project):
    queued = await plain_project.tasks.queue("errands.stumble")

    async def over():
        await plain_project.tasks.drain(LONG)
        return (await plain_project.tasks.get(queued.id)).is_over

    await until(over)
    status = await plain_project.tasks.get(queued.id)
    assert (status.status, status.attempts, status.result) == ("succeeded", 2, 1)


async def test_what_is_told_and_saved_within_a_transaction(plain_project, caplog):
    """SQLite has one writer at a time, and that is the transaction."""
    status = await drained(plain_project, "errands.tells_within")
    assert (status.status, status.attempts, status.result) == ("succeeded", 1, 3)
    assert (status.done, status.total, status.message) == (3, 3, "step 3")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_place_that_was_saved_by_a_commit_without_an_answer_stays(plain_project):
    queued = await plain_project.tasks.queue("errands.unsure")

    async def over():
        await plain_project.tasks.drain(LONG)
        return (await plain_project.tasks.get(queued.id)).is_over

    await until(over)
    status = await plain_project.tasks.get(queued.id)
    assert (status.status, status.attempts) == ("succeeded", 2)
    assert [name for name in await effects(plain_project) if "unsure" in name] == ["unsure 0", "unsure 1"]


@pytest.mark.parametrize(
    ("what", "done", "total"),
    [("float", 1, 2), ("huge", 2**63 - 1, 2**63 - 1), ("nul", 1, 2)],
)
async def test_progress_that_no_database_takes(plain_project, what, done, total):
    status = await drained(plain_project, "errands.tells", what=what)
    assert (status.status, status.done, status.total) == ("succeeded", done, total)
    assert "\0" not in status.message


async def test_a_place_that_no_database_takes(plain_project):
    unfinished = await plain_project.tasks.queue("errands.tells", what="place")
    await plain_project.tasks.drain(LONG, limit=1)
    assert (await plain_project.tasks.get(unfinished.id)).status == "waiting"
    await plain_project.tasks.cancel(unfinished.id)
    status = await drained(plain_project, "errands.tells", what="nul place")
    assert (status.status, status.error.partition("\n")[0]) == ("failed", "ValueError: failed")


async def test_an_exception_that_cannot_be_pickled_or_shown(plain_project):
    status = await drained(plain_project, "errands.unpicklable")
    assert status.status == "failed"
    assert "Unpicklable: (its message cannot be made)" in status.error
    assert status.result is None


async def test_a_database_that_is_away_is_no_fault_of_the_task(plain_project):
    status = await drained(plain_project, "errands.gone_database")
    assert status.scheduled_at is not None
    assert status.status in ("scheduled", "waiting")  # on a busy machine that time has come before it is read
    await plain_project.tasks.retry(status.id)
    await plain_project.tasks.drain(LONG)
    status = await plain_project.tasks.get(status.id)
    assert (status.status, status.attempts, status.result, status.error) == ("succeeded", 2, "back", "")


async def test_a_task_that_is_no_longer_defined(plain_project):
    queued = await plain_project.tasks.queue("errands.trivial")
    await run_sql(plain_project, "UPDATE procrastinate_jobs SET task_name = 'errands.gone'")
    await plain_project.tasks.drain(LONG)
    status = await plain_project.tasks.get(queued.id)
    assert (status.status, status.error.partition(".")[0]) == ("failed", "There is no task 'errands")


@full
async def test_two_hundred_drains_at_once(plain_project):
    async with plain_project.database.transaction() as session:
        tasks = plain_project.tasks.within(session)
        for number in range(300):
            await tasks.queue("errands.once", name=f"once {number:03}")
    # PostgreSQL takes a hundred connections, so some drains are refused: a 503, after which the platform tries again.
    drains = (plain_project.tasks.drain(LONG) for _ in range(200))
    reports = await asyncio.gather(*drains, return_exceptions=True)
    assert {type(report) for report in reports} <= {DrainReport, DatabaseUnavailable}
    # What such a drain could not give back is taken over once its worker counts as dead.
    await run_sql(plain_project, "UPDATE procrastinate_workers SET last_heartbeat = '2000-01-01 00:00:00.000000'")
    await plain_project.tasks.drain(LONG)
    open_jobs = "SELECT status, attempts FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    left = await run_sql(plain_project, open_jobs)
    assert all(status == "todo" and attempts > 0 for status, attempts in left), left

    async def all_over():  # what found the database locked for too long, and is tried again after a pause
        await plain_project.tasks.drain(LONG)
        return not await run_sql(plain_project, open_jobs)

    await until(all_over)
    names = [name for name in await effects(plain_project) if name.startswith("once")]
    assert sorted(names) == [f"once {number:03}" for number in range(300)]
    states = await run_sql(plain_project, "SELECT DISTINCT status FROM procrastinate_jobs")
    assert states == [("succeeded",)]
    await all_alone()
