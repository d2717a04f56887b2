"""The simulated site, against cases that are worked out by hand or by formulas of queues."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from leapcell_emulator.capacity.advice import fly_platform, for_fly, for_memory, for_pool, for_workers
from leapcell_emulator.capacity.limits import first_to_break, limits_of
from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.processor import Processor
from leapcell_emulator.capacity.scenario import Database, Platform, Scenario, Tasks, Work
from leapcell_emulator.capacity.site import Site


def scenario(load: float, *, platform: dict[str, Any] | None = None, **options: Any) -> Scenario:
    rules: dict[str, Any] = {"share": 1.0, "start": Work(1.0, 0.25)} | (platform or {})
    defaults: dict[str, Any] = {"requests": 2000, "pause": 0.0, "requests_per_visit": 1.0, "work": [Work(0.02)]}
    return Scenario(visits_per_hour=load, platform=Platform(**rules), **{**defaults, **options})


def run(*words: Any, **options: Any) -> Outcome:
    return Site(scenario(*words, **options)).run()


def test_a_processor_runs_one_piece_after_the_other() -> None:
    whole = Processor(share=1.0, period=0.1)
    assert [whole.run(0, 1.0), whole.run(0.5, 1.0), whole.run(5.0, 1.0)] == [1.0, 2.0, 6.0]
    assert Processor(share=0.25, period=0).run(0, 1.0) == 4.0


def test_a_share_is_granted_by_periods() -> None:
    part = Processor(share=0.25, period=0.1)
    assert part.run(0.0, 0.02) == pytest.approx(0.02)
    assert part.run(0.03, 0.01) == pytest.approx(0.105)  # 5 ms are left, the rest is the next period's
    assert part.run(1.0, 0.06) == pytest.approx(1.21)


def test_a_machine_at_fly_saves_what_it_does_not_use() -> None:
    machine = Processor(share=1 / 16, period=0.08, saved=5.0, saved_at_most=500.0)
    assert machine.run(0.0, 5.0) == pytest.approx(5.0)
    burst = machine.run(10.0, 1.0)
    assert burst > 11.0  # what it had saved is almost used up
    assert machine.run(burst + 100.0, 6.0) == pytest.approx(burst + 106.0, abs=0.1)
    assert machine.run(1e5, 400.0) == pytest.approx(1e5 + 400.0)


def test_one_event_loop_is_the_queue_of_the_textbook() -> None:
    # M/D/1 at 70 %: the mean wait is 0.02 * 0.7 / (2 * 0.3).
    found = run(0.7 / 0.02 * 3600, platform={"instances": 1, "limit": 0}, requests=20_000)
    assert found.latency.mean == pytest.approx(0.02 + 0.02 * 0.7 / 0.6, rel=0.05)
    assert found.busy / found.seconds == pytest.approx(0.7, rel=0.03)
    assert found.most_instances == 1


def test_the_plans_limit_refuses() -> None:
    found = run(10 * 3600, platform={"instances": 1, "limit": 3}, work=[Work(0.0, 1.0)])
    # Erlang's loss formula for 10 arrivals in a request's time and 3 places.
    lost = (10**3 / 6) / (1 + 10 + 50 + 10**3 / 6)
    assert found.refused_share == pytest.approx(lost, rel=0.05)
    assert found.most_in_flight == 3


def test_instances_start_as_needed_and_end_without_requests() -> None:
    seldom = run(1.0, platform={"dormant_after": 60.0}, requests=200)
    assert seldom.cold_share > 0.95
    assert seldom.latency.quantile(0.5) == pytest.approx(1.27, rel=0.02)
    often = run(3600.0, platform={"dormant_after": 1800.0})
    assert often.cold_share < 0.01
    kept = run(1.0, platform={"dormant_after": 60.0, "kept": 1}, requests=200)
    assert (kept.cold_share, kept.starts) == (0.0, 0)


def test_at_most_so_many_instances_share_the_rest() -> None:
    found = run(1e5, platform={"most": 3, "limit": 0}, work=[Work(0.0, 1.0)])
    assert found.most_instances == 3
    assert found.latency.quantile(0.5) == pytest.approx(1.0, rel=0.02)


def test_a_pool_holds_requests_up() -> None:
    database = Database(queries=1, query=0.1, latency=0.0, pool=1)
    wide, narrow = replace(database, pool=10), database
    rules = {"instances": 2, "limit": 0}
    free = run(8 * 3600, platform=rules, database=wide)
    held = run(8 * 3600, platform=rules, database=narrow)
    assert free.pool_wait.quantile(0.95) < 0.01 < held.pool_wait.quantile(0.95)
    assert held.most_connections == 2 < free.most_connections
    assert held.p95 > free.p95


def test_three_regions_wait_for_a_database_far_away_or_visitors_do() -> None:
    common: dict[str, Any] = {"region_latency": 0.1, "database": Database(queries=5), "requests": 500}
    one, three = run(1000, regions=1, **common), run(1000, regions=3, **common)
    assert one.p95 == pytest.approx(0.02 + 5 * 0.003 + 0.1, rel=0.05)
    assert three.p95 == pytest.approx(0.02 + 5 * 0.103, rel=0.05)


def test_async_tasks_wait_for_workers() -> None:
    tasks = Tasks(per_request=1.0, work=Work(0.0, 1.0), workers=1)
    found = run(2 * 3600, tasks=tasks, requests=500)
    assert found.task_wait.quantile(0.95) > 60
    advised = for_workers(scenario(2 * 3600, tasks=tasks))
    assert advised is not None
    assert advised.value == 3
    assert limits_of(scenario(7200, tasks=tasks), found)[0].name == "queue of Async"


def test_arrivals_that_are_given() -> None:
    rules = {"instances": 1, "limit": 2}
    found = run(1, arrivals=(1.0, 1.5, 1.6, 4.0), work=[Work(1.0)], platform=rules)
    assert (found.requests, found.refused, found.latency.count) == (4, 1, 3)
    assert found.latency.total == pytest.approx(1.0 + 1.5 + 1.0)


def test_the_same_seed_gives_the_same() -> None:
    first, second = (run(1000, requests=300, requests_per_visit=2.5, pause=5.0) for _ in range(2))
    assert first.latency.total == second.latency.total
    assert first.requests == second.requests
    assert run(1000, requests=300, seed=2).latency.total != first.latency.total


def test_the_first_limit_that_breaks_and_where() -> None:
    database = Database(queries=1, query=0.1, latency=0.0, pool=2, connections=3)
    slow = scenario(1, platform={"instances": 2, "limit": 0}, database=database)
    load, limit = first_to_break(slow, p95=None) or pytest.fail("nothing breaks")
    assert limit.name == "connections of the database"
    assert load < 40 * 3600
    nothing = scenario(1, platform={"limit": 0}, requests=100)
    assert limits_of(nothing, Site(nothing).run()) == []


def test_a_load_at_which_the_plan_refuses() -> None:
    found = first_to_break(scenario(1, work=[Work(0.0, 1.0)], platform={"limit": 20, "start": Work(0.0)}), p95=None)
    assert found is not None
    # Erlang: 20 places lose a thousandth at about 10 in flight.
    assert found[0] == pytest.approx(10 * 3600, rel=0.35)


def test_advice_is_the_smallest_that_suffices() -> None:
    busy = scenario(3600, platform={"share": 0.07}, work=[Work(0.05)])
    memory = for_memory(busy, p95=0.3)
    assert memory is not None
    assert memory.value in (256, 512)
    assert for_memory(busy, p95=0.01) is None
    pool = for_pool(scenario(8 * 3600, platform={"instances": 1}, database=Database(queries=1, query=0.1)))
    assert pool is not None
    assert 2 <= pool.value <= 5
    assert for_pool(busy) is None
    assert for_workers(busy) is None


def test_advice_for_machines_at_fly() -> None:
    quiet = scenario(2, requests_per_visit=3.0, pause=10.0)
    found = {each.key: each.value for each in for_fly(quiet, p95=0.5, start=Work(2.0), machines=2, stop_after=300)}
    assert found["min_machines_running"] >= 1
    assert found["hard_limit"] == 4 * found["soft_limit"]
    [much] = for_fly(scenario(1e5, work=[Work(0.05)]), p95=0.5, start=Work(2.0), machines=2, stop_after=300)
    assert (much.key, much.value) == ("machines", 32)
    assert fly_platform(start=Work(1), soft_limit=5, machines=2, kept=0, stop_after=1, hard_limit=20).limit == 40
