"""A call into obstore is over when its thread has let go of it: also when nobody waits for the result any more."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from fastopp.storage.s3.calls import call

A_WHILE = 0.01  # seconds, in which what need not wait goes on


class Client:
    """What `call` asks of an S3Store, with a function of obstore's and the thread that has its future."""

    prefix = None

    def __init__(self) -> None:
        self.held: asyncio.Future[str] | None = None
        self.called = asyncio.Event()

    def fetch(self) -> asyncio.Future[str]:
        """The future of a result."""
        self.held = asyncio.get_running_loop().create_future()
        self.called.set()
        return self.held

    def finish(self) -> None:
        """The result is there, and the thread on its way out."""
        assert self.held, "not called"
        self.held.set_result("result")

    async def call(self) -> str:
        """The function under test, called with both."""
        return await call(self, self.fetch)

    async def assert_waits(self, task: asyncio.Task[object]) -> None:
        """That nothing is over before the thread lets go, which it does now."""
        await asyncio.sleep(A_WHILE)
        assert not task.done()
        self.held = None


async def test_the_result_comes_when_the_thread_has_let_go() -> None:
    client = Client()
    task = asyncio.create_task(client.call())
    await client.called.wait()
    client.finish()
    await client.assert_waits(task)
    assert await task == "result"


@pytest.mark.parametrize("has_finished", [False, True])
async def test_so_does_the_end_of_a_cancelled_task(*, has_finished: bool) -> None:
    client = Client()
    task = asyncio.create_task(client.call())
    await client.called.wait()
    if has_finished:
        client.finish()
        await asyncio.sleep(A_WHILE)
    task.cancel()
    await client.assert_waits(task)
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("has_finished", [False, True])
async def test_and_of_a_cancelled_scope(*, has_finished: bool) -> None:
    client, scope = Client(), anyio.CancelScope()

    async def in_scope() -> None:
        with scope:
            await client.call()

    task = asyncio.create_task(in_scope())
    await client.called.wait()
    if has_finished:
        client.finish()
        await asyncio.sleep(A_WHILE)
    scope.cancel()
    await client.assert_waits(task)
    await task
    assert scope.cancelled_caught
