"""What a trigger answers for each state of its task, and work that is broken off in time."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from fastapi import Request

from fastopp.features.jobs import running
from fastopp.features.jobs.running import run_until_stopped
from fastopp.features.jobs.triggers import _preferences, _tell
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.queue.status import TaskStatus
from fastopp.testing import ManualClock

SOON = timedelta(seconds=90)


@pytest.mark.parametrize(
    ("task", "status_code", "status"),
    [
        ({"status": "succeeded", "result": {"a": 1}}, 200, "success"),
        ({"status": "waiting"}, 503, "partial"),
        ({"status": "waiting", "error": "ValueError: no"}, 503, "error"),
        ({"status": "scheduled", "error": "ValueError: no", "scheduled_at": SOON}, 503, "error"),
        ({"status": "failed", "error": "ValueError: no", "result": {"message": "Not all."}}, 500, "error"),
        ({"status": "cancelled"}, 409, "cancelled"),
        ({"status": "running"}, 409, "running"),
    ],
)
def test_only_success_is_2xx(task, status_code, status):
    clock = ManualClock()
    if soon := task.get("scheduled_at"):
        task = task | {"scheduled_at": clock.now() + soon}
    given = TaskStatus(**({"id": 7, "name": "x", "args": {}, "queue": "default", "attempts": 1} | task))
    answer = _tell(given, {}, clock)
    content = json.loads(answer.body)
    assert (answer.status_code, content["status"], content["task_id"]) == (status_code, status, 7)
    assert content["message"]
    if "error" in task and "result" not in task:
        assert content["message"].endswith(": ValueError: no")
    assert set(content) == {"status", "message", "details", "task_id"}
    assert ("error" in content["details"]) == ("error" in task)
    if task.get("scheduled_at"):
        assert answer.headers["retry-after"] == "90"


@pytest.mark.parametrize(
    ("result", "message", "details"),
    [
        (None, "The task is done.", {}),
        ({"message": "Fine.", "a": 1}, "Fine.", {"a": 1}),
        ([1, 2], "The task is done.", {"result": [1, 2]}),
        (False, "The task is done.", {"result": False}),
    ],
)
def test_a_result_as_details(result, message, details):
    task = TaskStatus(id=1, name="x", args={}, status="succeeded", queue="default", attempts=1, result=result)
    content = json.loads(_tell(task, {"password": "told"}, ManualClock()).body)
    assert (content["message"], content["details"]) == (message, details | {"password": "told"})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], set()),
        (["respond-async"], {"respond-async"}),
        (["wait=10, Respond-Async;foo=bar"], {"wait=10", "respond-async"}),
        (["return=minimal", "respond-async"], {"return=minimal", "respond-async"}),
    ],
)
def test_preferences(lines, expected):
    scope = {"type": "http", "headers": [(b"prefer", line.encode()) for line in lines]}
    assert _preferences(Request(scope)) == expected


class Context:
    """As much of a task's context as is asked."""

    def __init__(self) -> None:
        self.stop = False

    def should_stop(self) -> bool:
        return self.stop


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(running, "INTERVAL", 0.01)


async def test_work_is_told_of_and_ends():
    told = asyncio.Event()

    async def work() -> str:
        await told.wait()
        return "done"

    async def tell() -> None:
        told.set()

    assert await run_until_stopped(Context(), work(), tell) == "done"


async def test_work_is_broken_off_when_the_time_is_up():
    context, ended = Context(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(1)

    async def tell() -> None:
        context.stop = True

    with pytest.raises(Unfinished):
        await run_until_stopped(context, work(), tell)
    assert ended


async def test_what_work_raises_is_passed_on():
    async def work() -> None:
        raise KeyError("x")

    async def tell() -> None:
        pass

    with pytest.raises(KeyError):
        await run_until_stopped(Context(), work(), tell)


async def test_work_ends_with_the_task():
    ended = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    async def tell() -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await run_until_stopped(Context(), work(), tell)
    assert ended
