"""The system's clock, and the tests' own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from fastopp.clock import SYSTEM_CLOCK
from fastopp.testing import ManualClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_the_systems_clock() -> None:
    before = time.monotonic(), time.time()
    await SYSTEM_CLOCK.sleep(0.001)
    assert SYSTEM_CLOCK.monotonic() >= before[0] + 0.001
    assert SYSTEM_CLOCK.time() >= before[1]
    assert SYSTEM_CLOCK.now().tzinfo is UTC
    assert abs(SYSTEM_CLOCK.now() - datetime.now(UTC)) < timedelta(minutes=1)


async def test_it_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(NOON)
    assert (clock.now(), clock.monotonic()) == (NOON, 0.0)
    clock.advance(90)
    assert (clock.now(), clock.monotonic()) == (NOON + timedelta(seconds=90), 90.0)


async def test_moving_it_wakes_those_who_are_due() -> None:
    clock, woken = ManualClock(NOON), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    sleeping = [asyncio.create_task(sleep(seconds)) for seconds in (0, 1, 2, 3600)]
    await clock.sleeper(least=3600)
    assert woken == [0]
    clock.advance(2)
    await asyncio.wait(sleeping[:3])
    assert sorted(woken) == [0, 1, 2]
    watching = asyncio.create_task(clock.sleeper(most=5))
    await asyncio.sleep(0)
    assert not watching.done()
    sleeping.append(asyncio.create_task(sleep(5)))
    await watching
    for each in sleeping:
        each.cancel()


async def test_time_passes_while_something_waits_for_it() -> None:
    clock = ManualClock(NOON)

    async def work() -> str:
        for _ in range(10):
            await clock.sleep(0.1)
        return "done"

    assert await clock.passing(work(), 0.1) == "done"
    assert clock.monotonic() == pytest.approx(1.0)
