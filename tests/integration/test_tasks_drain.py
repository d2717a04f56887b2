"""Working the queue: what becomes of each kind of task."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from fastopp.database.errors import TablesMissing
from fastopp.tasks.errors import AlreadyQueued, AlreadyRunning
from fastopp.tasks.worker.drain import GRACE_SHARE
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.tasks import all_alone, effects, open_project, run_sql, until

LONG = timedelta(seconds=60)


async def drained(project, name, /, **args):
    """The status of a task after a drain that took nothing else."""
    queued = await project.tasks.queue(name, **args)
    await project.tasks.drain(LONG)
    return await project.tasks.get(queued.id)


def noted(project, *names):
    """A condition: tasks have written all of this."""

    async def condition():
        return {*names} <= {*await effects(project)}

    return condition


async def end_of(budget, clock):
    """Let the budget of a drain pass, and with its last part whatever does not end by itself."""
    clock.advance(budget)
    await clock.sleeper(most=budget * GRACE_SHARE + 0.001)
    clock.advance(budget * GRACE_SHARE + 0.001)


async def test_a_drain_works_all_there_is(each_project):
    tasks = each_project.tasks
    for number in range(30):
        await tasks.queue("errands.effect", name=f"effect {number:02}")
    await tasks.queue("errands.chain", length=3)
    later = await tasks.later(timedelta(hours=1)).queue("errands.trivial")
    report = await tasks.drain(LONG)
    assert (report.failed, report.requeued, report.left, report.time_up) == (0, 0, 0, False)
    done = [name for name in await effects(each_project) if not name.startswith("minute")]
    assert sorted(done) == sorted([f"effect {number:02}" for number in range(30)] + ["link 3", "link 2", "link 1"])
    assert (await tasks.get(later.id)).status == "scheduled"
    finished = (await tasks.list(status="succeeded"))[0]
    # A task queued it, perhaps when the drain's statement had begun already: now() is a transaction's first moment.
    assert finished.queued_at - timedelta(seconds=1) <= finished.started_at <= finished.finished_at
    assert (await tasks.counts()).workers == 0


@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "asyncpg"])
async def test_a_database_without_tables_is_told_from_one_that_does_not_answer(kind, request, tmp_path):
    url = f"sqlite:///{tmp_path}/empty.db"
    if kind != "sqlite":
        url = request.getfixturevalue("postgres_url").replace("postgresql://", f"postgresql+{kind}://")
    async with open_project(url, make=False) as project:
        with pytest.raises(TablesMissing):
            await project.tasks.drain(LONG)


async def test_results_progress_and_typed_arguments(each_project):
    assert (await drained(each_project, "errands.add", a=1)).result == 2
    assert (await drained(each_project, "errands.on_day", day="2026-02-28")).result == "2026-02-28"
    threaded = await drained(each_project, "errands.in_thread", text="in a thread")
    assert threaded.result == {"text": "in a thread", "job": threaded.id}
    assert (threaded.done, threaded.total, threaded.message) == (1, 2, "half")
    assert (await drained(each_project, "errands.returns", what="list")).result == [1, 2]
    trivial = await drained(each_project, "errands.trivial")
    assert (trivial.status, trivial.attempts, trivial.result) == ("succeeded", 1, None)
    assert await run_sql(each_project, "SELECT 1 FROM task_runs WHERE job_id = :id", id=trivial.id) == []


async def test_what_json_cannot_hold_is_no_result(plain_project):
    for what in ("set", "nan", "nul"):
        status = await drained(plain_project, "errands.returns", what=what)
        assert status.status == "failed"
        assert "Task errands.returns returned a value that " in status.error


async def test_a_task_is_tried_again_and_again(project):
    tasks = project.tasks
    good = await tasks.queue("errands.flaky", until=3)
    bad = await tasks.queue("errands.flaky", until=9)

    async def over():
        await tasks.drain(LONG)
        return (await tasks.get(good.id)).is_over and (await tasks.get(bad.id)).is_over

    await until(over)
    first, second = await tasks.get(good.id), await tasks.get(bad.id)
    assert (first.status, first.attempts, first.result, first.error) == ("succeeded", 3, "attempt 3", "")
    assert (second.status, second.attempts) == ("failed", 3)
    assert second.error.startswith("ValueError: attempt 3\n")
    assert 'raise ValueError(f"attempt {context.attempt}")' in second.error
    again = await tasks.retry(bad.id)
    assert (again.status, again.attempts) == ("waiting", 0)


@pytest.mark.parametrize("how", ["exit", "interrupt", "base"])
async def test_whatever_a_task_raises_ends_only_itself(plain_project, how):
    status = await drained(plain_project, "errands.leaves", how=how)
    assert status.status == "failed"
    assert "gone" in status.error


async def test_secrets_are_not_kept(plain_url, caplog):
    caplog.set_level(logging.DEBUG)
    secret = "this-is-the-operators-token"
    async with open_project(plain_url, make=False, OPS_TOKEN=secret) as project:
        status = await drained(project, "errands.secretive", what=secret)
        assert status.error.startswith("RuntimeError: it was ***")
        password = project.database.url.password
        if password:
            assert "***" in (await drained(project, "errands.secretive", what=f"({password})")).error
    assert secret not in caplog.text


async def test_a_place_is_kept_until_the_end(each_project):
    status = await drained(each_project, "errands.steps", total=5, each=2)
    assert (status.status, status.attempts, status.result) == ("succeeded", 1, 5)
    assert (status.done, status.total, status.message) == (5, 5, "step 4")
    assert [name for name in await effects(each_project) if "step" in name] == [f"step {number}" for number in range(5)]


async def test_what_goes_back_to_the_queue_is_taken_by_the_same_drain(project):
    status = await drained(project, "errands.steps", total=60, each=1)
    assert (status.status, status.done) == ("succeeded", 60)


async def test_success_in_the_same_transaction(each_project):
    status = await drained(each_project, "errands.once", name="once")
    assert (status.status, status.attempts, status.result) == ("succeeded", 1, "done")
    assert "once" in await effects(each_project)


async def test_a_budget_ends(timed_project, clock):
    tasks = timed_project.tasks
    endless = await tasks.queue("errands.endless")
    steps = await tasks.queue("errands.steps", total=100_000, pause=0.01)
    draining = asyncio.create_task(tasks.drain(timedelta(seconds=1), limit=2))  # no time table's
    await until(noted(timed_project, "began", "step 0"))
    clock.advance(0.9)

    async def has_saved_its_place():
        return (await tasks.get(steps.id)).status == "waiting"

    await until(has_saved_its_place)
    assert not draining.done()
    clock.advance(0.2)
    async with asyncio.timeout(10):  # and not for ever
        report = await draining
    assert (report.requeued, report.time_up) == (2, True)
    first, second = await tasks.get(endless.id), await tasks.get(steps.id)
    assert (first.status, first.attempts) == ("waiting", 1)  # it was cancelled, which counts
    assert (second.status, second.attempts) == ("waiting", 0)  # it has saved its place
    assert second.done > 0


async def test_a_place_of_a_transaction_under_way_is_not_kept(timed_project, clock):
    lingers = await timed_project.tasks.queue("errands.lingers")
    draining = asyncio.create_task(timed_project.tasks.drain(timedelta(seconds=0.5), limit=1))
    await clock.sleeper(least=3600, most=3600)
    await end_of(0.5, clock)
    report = await draining
    assert (report.requeued, report.time_up) == (1, True)
    clock.advance(7200)
    await all_alone()  # it is rolled back
    await timed_project.tasks.drain(LONG)
    status = await timed_project.tasks.get(lingers.id)
    assert (status.status, status.attempts, status.result) == ("succeeded", 2, 1)


async def test_a_task_that_never_ends_fails_in_the_end(timed_project, clock):
    tasks = timed_project.tasks
    stubborn = await tasks.queue("errands.stubborn")
    await run_sql(timed_project, "UPDATE procrastinate_jobs SET attempts = 9")
    draining = asyncio.create_task(tasks.drain(timedelta(seconds=0.5), limit=1))
    await clock.sleeper(least=3600)
    await end_of(0.5, clock)
    await draining
    status = await tasks.get(stubborn.id)
    assert (status.status, status.attempts) == ("failed", 10)
    assert "time was up" in status.error


async def test_locks(project):
    tasks = project.tasks
    for key in "aabba":
        await tasks.queue("errands.locked", key=key, seconds=0.02)
    await tasks.drain(LONG)
    rows = await run_sql(project, "SELECT name FROM effects WHERE name LIKE '% %ed' OR name LIKE '% began'")
    for key in "ab":
        ours = [name for (name,) in rows if name.startswith(f"{key} ")]
        assert ours == [f"{key} began", f"{key} ended"] * (len(ours) // 2)
    assert len(rows) == 10


async def test_a_limit(plain_project):
    await run_sql(plain_project, "DELETE FROM procrastinate_jobs")
    for _ in range(5):
        await plain_project.tasks.queue("errands.effect")
    report = await plain_project.tasks.drain(LONG, limit=2)
    assert report.done == 2


async def test_a_moment_of_a_time_table_is_served_once(plain_project):
    await asyncio.gather(*(plain_project.tasks.drain(LONG) for _ in range(3)))
    await plain_project.tasks.drain(LONG)
    minutes = [name for name in await effects(plain_project) if name.startswith("minute")]
    assert len(minutes) == len(set(minutes))
    assert 1 <= len(minutes) <= 2  # a minute may have passed


async def test_an_abort_reaches_the_function(plain_project):
    tasks = plain_project.tasks
    nap = await tasks.queue("errands.nap", seconds=60)
    draining = asyncio.create_task(tasks.drain(LONG))

    await until(noted(plain_project, "began"))
    asked = await tasks.cancel(nap.id)
    assert (asked.status, asked.stopping) == ("running", True)
    await draining
    status = await tasks.get(nap.id)
    assert (status.status, status.is_over) == ("cancelled", True)
    assert "ended" not in await effects(plain_project)


async def test_one_task_to_its_end(each_project):
    tasks = each_project.tasks
    other = await tasks.queue("errands.trivial")
    status = await tasks.run("errands.add", LONG, a=2, b=3)
    assert (status.status, status.result) == ("succeeded", 5)
    assert (await tasks.get(other.id)).status == "waiting"
    # A second call is a new job: what succeeded is done.
    assert (await tasks.run("errands.add", LONG, a=2, b=3)).id != status.id


async def test_a_second_call_continues_the_first(project):
    tasks = project.tasks
    failed = await tasks.run("errands.flaky", LONG, until=2)
    assert (failed.status, failed.attempts) in {("scheduled", 1), ("waiting", 1)}
    assert "attempt 1" in failed.error
    again = await tasks.run("errands.flaky", LONG, until=2)
    assert (again.id, again.status, again.attempts) == (failed.id, "succeeded", 2)


async def test_the_same_call_while_it_runs(project):
    tasks = project.tasks
    first = asyncio.create_task(tasks.run("errands.until_told", LONG))

    await until(noted(project, "began"))
    answers = await asyncio.gather(*(tasks.run("errands.until_told", LONG) for _ in range(4)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [AlreadyRunning] * 4
    await run_sql(project, "INSERT INTO effects VALUES (0, 0, 'told')")
    assert (await first).status == "succeeded"
    assert {answer.task_id for answer in answers} == {(await first).id}
    assert [job.id for job in await tasks.list(name="errands.until_told")] == [(await first).id]


async def test_five_calls_at_once(project):
    calls = [project.tasks.run("errands.single", LONG, seconds=0.1) for _ in range(5)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    done = {answer.id for answer in answers if not isinstance(answer, Exception)}
    assert done
    assert all(isinstance(answer, AlreadyRunning) for answer in answers if isinstance(answer, Exception))
    ran = [name for name in await effects(project) if name == "single"]
    assert len(ran) == len(done) == len(await project.tasks.list(name="errands.single"))


async def test_the_same_lock_with_other_arguments(plain_project):
    await plain_project.tasks.queue("errands.single", seconds=1)
    with pytest.raises(AlreadyQueued):
        await plain_project.tasks.run("errands.single", LONG, seconds=2)
