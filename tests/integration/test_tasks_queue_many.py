"""Queuing many jobs at once, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fastopp.tasks.errors import AlreadyQueued, TaskArguments, TaskTooBig, TaskUnknown
from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.queue import defer_many
from tests.integration.tasks_fixtures import *  # noqa: F403 - fixtures
from tests.services.errands.tasks import add, keyed


async def waiting(project):
    return [(each.id, each.args) for each in reversed(await project.tasks.list(limit=500))]


async def test_ids_are_in_the_order_of_the_arguments(plain_project, monkeypatch):
    monkeypatch.setattr(defer_many, "MOST", 7)
    ids = await plain_project.tasks.queue_many(add, ({"a": number} for number in range(30)))
    assert ids == sorted(set(ids))
    assert await waiting(plain_project) == [(each, {"a": number}) for number, each in enumerate(ids)]
    await plain_project.tasks.drain(timedelta(seconds=60))
    assert [(await plain_project.tasks.get(each)).result for each in ids] == list(range(1, 31))


async def test_arguments_are_kept_as_they_are(plain_project):
    texts = ["", "0", "1.0", "[1]", "null", "ä' \"\\ \n %s :x 🦔", "x" * 100_000]
    ids = await plain_project.tasks.queue_many("errands.in_thread", [{"text": text} for text in texts])
    assert await waiting(plain_project) == [(each, {"text": text}) for each, text in zip(ids, texts, strict=True)]
    numbers = [2**53 + 1, -(2**63), 10**30]
    await plain_project.tasks.queue_many(add, [{"a": number} for number in numbers])
    assert [args for _, args in (await waiting(plain_project))[len(texts) :]] == [{"a": number} for number in numbers]


async def test_no_jobs_are_no_statement(plain_project):
    assert await plain_project.tasks.queue_many(add, []) == []


async def test_they_can_be_for_later(plain_project):
    when = datetime(2100, 1, 2, 3, 4, 5, 678_000, UTC)
    (queued,) = await plain_project.tasks.later(when).queue_many(add, [{"a": 1}])
    found = await plain_project.tasks.get(queued)
    assert (found.status, found.scheduled_at) == ("scheduled", when)


async def test_they_count_only_when_the_transaction_commits(plain_project):
    async def cancelled_order():
        async with plain_project.database.transaction() as session:
            assert len(await plain_project.tasks.within(session).queue_many(add, [{"a": 1}, {"a": 2}])) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await cancelled_order()
    assert await waiting(plain_project) == []


@pytest.mark.parametrize(
    ("last", "error"),
    [({"b": 1}, TaskArguments), ({"a": "no number"}, TaskArguments), ({"a": 1, "c": 1}, TaskArguments)],
)
async def test_all_are_queued_or_none(plain_project, monkeypatch, last, error):
    monkeypatch.setattr(defer_many, "MOST", 2)
    async with plain_project.database.transaction() as session:
        tasks = plain_project.tasks.within(session)
        before = await tasks.queue(add, a=0)
        with pytest.raises(error):
            await tasks.queue_many(add, [{"a": 1}, {"a": 2}, {"a": 3}, last])
        after = await tasks.queue(add, a=9)
    # The caller's transaction goes on.
    assert await waiting(plain_project) == [(before.id, {"a": 0}), (after.id, {"a": 9})]


async def test_what_is_too_big_or_unknown_is_refused(plain_project):
    with pytest.raises(TaskTooBig):
        await plain_project.tasks.queue_many("errands.in_thread", [{"text": "x" * (MAX_ARGUMENTS + 1)}])
    with pytest.raises(TaskUnknown):
        await plain_project.tasks.queue_many("errands.nothing", [{}])
    assert await waiting(plain_project) == []


async def test_large_arguments_are_sent_in_several_statements(plain_project, monkeypatch):
    monkeypatch.setattr(defer_many, "LARGEST", 1000)
    ids = await plain_project.tasks.queue_many("errands.in_thread", ({"text": "x" * 400} for _ in range(10)))
    assert len(set(ids)) == 10


@pytest.mark.parametrize("at_once", [2, 1000])
async def test_a_queueing_lock_holds_in_a_batch(plain_project, monkeypatch, at_once):
    monkeypatch.setattr(defer_many, "MOST", at_once)
    tasks = plain_project.tasks
    with pytest.raises(AlreadyQueued, match="Two jobs of the batch") as twice:
        await tasks.queue_many(keyed, [{"key": "a"}, {"key": "b"}, {"key": "c"}, {"key": "b"}])
    assert twice.value.task_id is None
    assert await waiting(plain_project) == []
    first = await tasks.queue(keyed, key="b")
    async with plain_project.database.transaction() as session:
        with pytest.raises(AlreadyQueued) as taken:
            await tasks.within(session).queue_many(keyed, [{"key": "x"}, {"key": "y"}, {"key": "b"}])
        assert taken.value.task_id == first.id
        ids = await tasks.within(session).queue_many(keyed, [{"key": "a"}, {"key": "c"}])
    assert await waiting(plain_project) == [
        (first.id, {"key": "b"}),
        (ids[0], {"key": "a"}),
        (ids[1], {"key": "c"}),
    ]
