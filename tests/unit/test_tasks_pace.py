"""How many jobs a worker takes, and which ends are written together."""

from __future__ import annotations

import asyncio

from fastopp.tasks.outcome import Outcome
from fastopp.tasks.worker.finisher import GATHER_JOBS, Finisher
from fastopp.tasks.worker.pace import AHEAD_JOBS, Pace
from fastopp.testing import ManualClock


def run_functions(pace, clock, *seconds):
    for number, each in enumerate(seconds):
        pace.began(number)
        clock.advance(each)
        pace.ended(number)


def test_one_function_that_waited_for_the_processor_does_not_make_batches_small():
    clock = ManualClock()
    pace = Pace(4, clock)
    run_functions(pace, clock, *[0.001] * 20, 0.06)
    assert pace.room() > 40
    assert pace.quick


def test_long_functions_are_taken_one_for_each_free_place_at_once():
    clock = ManualClock()
    pace = Pace(4, clock)
    run_functions(pace, clock, *[0.001] * 20, 10)
    assert pace.room() == 4


def test_functions_that_run_for_long_count_before_they_end():
    clock = ManualClock()
    pace = Pace(4, clock)
    run_functions(pace, clock, *[0.01] * 20)
    assert pace.room() >= 36
    for number in (100, 101, 102):
        pace.began(number)
    clock.advance(5)
    assert pace.room() <= 11


def test_more_is_taken_where_taking_is_slow():
    clock = ManualClock()
    pace = Pace(4, clock)
    run_functions(pace, clock, *[0.01] * 20)
    for _ in range(20):
        pace.took(0.08)
    assert 100 < pace.room() <= AHEAD_JOBS


class Written:
    """A store that keeps the sizes of batches."""

    def __init__(self):
        self.sizes = []

    async def finish(self, outcomes, _worker_id):
        self.sizes.append(len(outcomes))
        await asyncio.sleep(0)
        return {each.job_id for each in outcomes}


async def finish_all(*, more, at_once=False):
    store = Written()
    finisher = Finisher(store, more=lambda: more)
    outcomes = [Outcome(job_id=number, status="succeeded") for number in range(GATHER_JOBS)]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for outcome in outcomes:
            group.create_task(finisher.finish(outcome, 1, at_once=at_once))
            await asyncio.sleep(0)
    return store.sizes


def test_ends_wait_for_each_other_while_more_are_to_come():
    assert max(asyncio.run(finish_all(more=True))) > GATHER_JOBS / 2


def test_the_end_that_others_wait_for_is_written_at_once():
    assert asyncio.run(finish_all(more=True, at_once=True))[0] < GATHER_JOBS / 2
    assert asyncio.run(finish_all(more=False))[0] < GATHER_JOBS / 2
