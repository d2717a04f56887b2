"""Queuing tasks and looking at them, on both databases, both drivers, and behind a pooler."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from fastopp.database.session import after_commit
from fastopp.tasks.errors import (
    AlreadyQueued,
    TaskArguments,
    TaskConflict,
    TaskMissing,
    TaskTooBig,
    TaskUnknown,
)
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.errands.tasks import add


async def test_what_is_queued_waits_and_can_be_found(project):
    tasks = project.tasks
    queued = await tasks.queue("errands.add", a=1, b="2")
    assert (queued.name, queued.args, queued.status) == ("errands.add", {"a": 1, "b": 2}, "waiting")
    found = await tasks.get(queued.id)
    assert (found.id, found.args, found.status, found.attempts) == (queued.id, {"a": 1, "b": 2}, "waiting", 0)
    assert found.queued_at is not None
    assert abs(found.queued_at - datetime.now(UTC)) < timedelta(seconds=30)
    assert (found.started_at, found.finished_at, found.is_over, found.stalled) == (None, None, False, False)
    assert found.as_json()["queued_at"] == found.queued_at.isoformat()
    by_object = await tasks.queue(add, a=5)
    assert [each.id for each in await tasks.list()] == [by_object.id, queued.id]
    assert [each.id for each in await tasks.list(before=by_object.id)] == [queued.id]
    assert (
        await tasks.list(status="running")
        == await tasks.list(name="errands.chain")
        == await tasks.list(queue="q")
        == []
    )
    counts = await tasks.counts()
    assert (counts.statuses, counts.workers, counts.stalled) == ({"waiting": 2}, 0, 0)
    assert counts.groups == [("default", "errands.add", "waiting", 2)]
    assert counts.oldest_waiting is not None


async def test_it_counts_only_when_the_transaction_commits(project):
    called = []

    async def callback():
        called.append(True)

    async def cancelled_order():
        async with project.database.transaction() as session:
            await project.tasks.within(session).queue("errands.trivial")
            after_commit(session, callback)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cancelled_order()
    assert (await project.tasks.list(), called) == ([], [])
    async with project.database.transaction() as session:
        await project.tasks.within(session).queue("errands.trivial")
        after_commit(session, callback)
        after_commit(session, callback)
        assert called == []
    assert (len(await project.tasks.list()), called) == (1, [True])


async def test_a_callback_that_fails_does_not_fail_what_was_committed(project, caplog):
    async def callback():
        raise RuntimeError("no network")

    async with project.database.transaction() as session:
        await project.tasks.within(session).queue("errands.trivial")
        after_commit(session, callback)
    assert len(await project.tasks.list()) == 1
    assert "What was to follow a transaction failed" in caplog.text


async def test_whoever_listens_is_woken_once_a_transaction(project):
    woken = []

    async def wake():
        woken.append(len(await project.tasks.list()))

    project.task_process.add_wake(wake)
    async with project.database.transaction() as session:
        await project.tasks.within(session).queue("errands.trivial")
        await project.tasks.within(session).queue("errands.trivial")
    await project.tasks.queue("errands.trivial")
    project.task_process.remove_wake(wake)
    await project.tasks.queue("errands.trivial")
    assert woken == [2, 3]


async def test_names_and_arguments_that_do_not_fit(project):
    queue = project.tasks.queue
    with pytest.raises(TaskUnknown, match=r"'errands\.nothing'"):
        await queue("errands.nothing")
    with pytest.raises(TaskUnknown):
        await queue("x" * 5000)
    for args, message in [
        ({}, "needs the argument 'a'"),
        ({"a": 1, "c": 2}, "no argument 'c'"),
        ({"a": "one"}, "argument 'a' of task errands.add: Input should be a valid integer"),
        ({"a": 1, "context": 2}, "no argument 'context'"),
    ]:
        with pytest.raises(TaskArguments, match=re.escape(message)) as caught:
            await queue("errands.add", **args)
        assert caught.value.status == 422
    with pytest.raises(TaskArguments, match="NUL"):
        await queue("errands.effect", name="a\0b")
    with pytest.raises(TaskArguments):
        await queue("errands.effect", name="\ud800")
    with pytest.raises(TaskTooBig) as too_big:
        await queue("errands.effect", name="x" * 5_300_000)
    assert too_big.value.status == 413
    await queue("errands.effect", name="x" * 5_200_000)
    await queue("errands.effect", name=r"\u0000 is six characters")
    assert len(await project.tasks.list()) == 2


async def test_a_queueing_lock_lets_one_wait(project):
    first = await project.tasks.queue("errands.single")
    async with project.database.transaction() as session:
        bound = project.tasks.within(session)
        with pytest.raises(AlreadyQueued) as caught:
            await bound.queue("errands.single")
        await bound.queue("errands.trivial")  # the transaction goes on
    assert (caught.value.status, caught.value.task_id) == (409, first.id)
    assert caught.value.extensions == {"task_id": first.id}
    assert [each.name for each in await project.tasks.list()] == ["errands.trivial", "errands.single"]


async def test_cancelling(project):
    tasks = project.tasks
    waiting = await tasks.queue("errands.trivial")
    assert (await tasks.cancel(waiting.id)).status == "cancelled"
    with pytest.raises(TaskConflict, match="is cancelled"):
        await tasks.cancel(waiting.id)
    await tasks.drain(timedelta(seconds=10))
    assert (await tasks.get(waiting.id)).status == "cancelled"
    assert (await tasks.retry(waiting.id)).status == "waiting"
    later = await tasks.later(timedelta(hours=1)).queue("errands.trivial")
    assert (await tasks.retry(later.id)).status == "waiting"
    for missing in (0, -1, 10**30, later.id + 100):
        with pytest.raises(TaskMissing):
            await tasks.get(missing)
        with pytest.raises(TaskMissing):
            await tasks.cancel(missing)


async def test_a_queueing_lock_is_given_up_rather_than_refuse_a_retry(plain_project):
    tasks = plain_project.tasks
    first = await tasks.queue("errands.single")
    await tasks.cancel(first.id)
    second = await tasks.queue("errands.single")
    assert (await tasks.retry(first.id)).status == "waiting"
    assert (await tasks.get(second.id)).status == "waiting"
