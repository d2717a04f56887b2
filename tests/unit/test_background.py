from __future__ import annotations

import asyncio

import pytest

from fastopp.core.background import PAUSE, BackgroundWork
from fastopp.testing import ManualClock


async def test_one_at_a_time_of_each_name() -> None:
    background, go, done = BackgroundWork(), asyncio.Event(), []

    async def work() -> None:
        await go.wait()
        done.append("done")

    assert background.start("a", work, limit=9)
    assert not background.start("a", work, limit=9)
    assert background.start("b", work, limit=9)
    go.set()
    await background.idle()
    assert done == ["done", "done"]
    assert background.start("a", work, limit=9)
    await background.idle()


async def test_a_failure_pauses(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    background = BackgroundWork(clock)

    async def fail() -> None:
        raise ValueError("a secret")

    background.start("a", fail, limit=9)
    await background.idle()
    assert "a failed: ValueError" in caplog.text
    assert "a secret" not in caplog.text
    assert not background.start("a", fail, limit=9)
    clock.advance(PAUSE)
    assert background.start("a", fail, limit=9)
    await background.idle()


async def test_it_is_limited_in_time_and_cancelled_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    background, cancelled = BackgroundWork(), []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    background.start("short", hang, limit=0)
    await background.idle()
    assert "short failed: TimeoutError" in caplog.text
    background.start("long", hang, limit=60)
    await asyncio.sleep(0)
    await background.aclose()
    assert cancelled == [True, True]
