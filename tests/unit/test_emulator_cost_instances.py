"""Instances, shares of a processor and distributions, against cases that are worked out by hand."""

from __future__ import annotations

import random
import statistics

import pytest

from leapcell_emulator.cost.histogram import Histogram
from leapcell_emulator.cost.instances import Instances, Served
from leapcell_emulator.cost.measurements import Measurements
from leapcell_emulator.cost.request import Request
from leapcell_emulator.cost.share import share_of, stretched
from leapcell_emulator.cost.usage import Fly, Rules, count
from leapcell_emulator.cost.visits import days_of, make_requests

RULES = Rules(
    sizes=(512, 1769), cold_start=0.25, dormant_after=1800, at_once=1, limit=100, fixed=None, period=0.1,
    fly_stop_after=300, async_path="/async/",
)  # fmt: skip


def instances(**options: float) -> Instances:
    defaults = {"start": 2.0, "dormant_after": 60.0, "at_once": 1, "limit": 100, "fixed": None}
    return Instances(**{**defaults, **options})  # type: ignore[arg-type]


def test_one_is_started_kept_and_ended() -> None:
    fleet = instances()
    assert fleet.serve(0, 1) == Served(2.0, True)
    assert fleet.serve(10, 1) == Served(0.0, False)
    assert fleet.serve(71, 1) == Served(0.0, False)  # 60 s after its last end
    assert fleet.serve(133, 1) == Served(2.0, True)
    fleet.finish()
    assert (fleet.cold, fleet.starts, fleet.most) == (2, 2, 1)
    assert fleet.seconds == fleet.instance_seconds == pytest.approx(2 * 3 + 2)


def test_a_second_request_at_once_starts_a_second_one_or_shares_the_first() -> None:
    fleet = instances()
    fleet.serve(0, 10)
    assert fleet.serve(5, 1) == Served(2.0, True)
    fleet.finish()
    assert (fleet.most, fleet.seconds, fleet.instance_seconds) == (2, 15.0, 15.0)
    fleet = instances(at_once=2)
    fleet.serve(0, 10)
    assert fleet.serve(1, 1) == Served(1.0, True)  # for the rest of the start
    assert fleet.serve(3, 1) == Served(0.0, False)
    fleet.finish()
    assert (fleet.most, fleet.instance_seconds, fleet.seconds) == (1, 12.0, 12 + 2 + 1)


def test_they_take_turns() -> None:
    fleet = instances(dormant_after=100)
    fleet.serve(0, 5)
    fleet.serve(0, 5)
    for time in range(10, 300, 10):  # each is used every 20 s, so both stay
        assert fleet.serve(time, 1) == Served(0.0, False)
    assert (fleet.starts, fleet.most) == (2, 2)


def test_the_plans_limit() -> None:
    fleet = instances(limit=2)
    assert fleet.serve(0, 10)
    assert fleet.serve(0, 10)
    assert fleet.serve(1, 10) is None
    assert fleet.serve(13, 1)
    assert fleet.refused == 1


def test_the_emulators_instances_are_warm_and_take_turns() -> None:
    fleet = instances(fixed=2, dormant_after=30)
    assert [fleet.serve(time, 1) for time in (0, 1, 2)] == [Served(0.0, False)] * 3
    assert fleet.serve(40, 1) == Served(2.0, True)
    assert fleet.serve(41, 1) == Served(2.0, True)
    fleet.finish()
    assert fleet.starts == 2


def one_by_one(processor: float, share: float, period: float, begun: float) -> float:
    """The seconds that work takes which begins at this moment of a period."""
    first = min(processor, share * period, period - begun)
    left, periods = processor - first, 1
    if left < 1e-12:
        return first
    while left > share * period + 1e-12:
        left -= share * period
        periods += 1
    return periods * period - begun + left


@pytest.mark.parametrize("processor", [0.001, 0.02, 0.025, 0.03, 0.05, 0.06, 0.1, 0.33, 2.0])
@pytest.mark.parametrize("share", [0.072, 0.25, 0.29, 0.9])
def test_a_share_stops_work_until_the_next_period(processor: float, share: float) -> None:
    moments = [one_by_one(processor, share, 0.1, (step + 0.5) / 500 * 0.1) for step in range(500)]
    assert stretched(processor, share, 0.1) == pytest.approx(statistics.mean(moments), rel=0.01)


def test_a_share_that_is_spread_and_a_whole_core() -> None:
    assert stretched(0.1, 0.25, 0) == 0.4
    assert stretched(0.1, 1.0, 0.1) == 0.1
    assert (share_of(1769), share_of(7076), round(share_of(192), 3)) == (1.0, 1.0, 0.109)


def test_quantiles_are_exact_to_a_percent() -> None:
    chance = random.Random(1)
    values = [chance.expovariate(1) for _ in range(20_000)]
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = statistics.quantiles(values, n=100)
    assert histogram.quantile(0.95) == pytest.approx(exact[94], rel=0.015)
    assert histogram.quantile(0.5) == pytest.approx(exact[49], rel=0.015)
    assert histogram.mean == pytest.approx(statistics.mean(values))
    histogram.add(0)
    histogram.add(1e12)
    assert Histogram().quantile(0.95) == 0.0


def test_a_machine_at_fly_runs_until_a_while_after_the_last_request() -> None:
    fly = Fly(300)
    for time in (0, 100, 1000):
        fly.serve(time, 1)
    assert (fly.starts, fly.started) == (2, 401 + 301)


def test_usage_adds_up() -> None:
    measured = Measurements(start_processor=1.0, processor=0.05, waiting=0.1, period=0.1)
    requests = [Request(0.0, "/a/1", bytes_out=10), Request(100.0, "/a/2"), Request(200.0, "/async/x")]
    used = count(requests, measured, RULES)
    assert (used.requests, used.async_tasks, used.bytes_out) == (3, 1, 10)
    assert used.processor == pytest.approx(0.15)
    small, large = used.sizes
    assert large.start == pytest.approx(1.25)
    assert large.instances.seconds == pytest.approx(1.25 + 3 * 0.15)
    share = 512 / 1769
    assert small.start == pytest.approx(0.25 + stretched(1.0, share, 0.1))
    assert small.instances.seconds == pytest.approx(small.start + 3 * (0.1 + stretched(0.05, share, 0.1)))
    assert used.routes["/a/{id}"].count == 2


def test_routes_are_bounded() -> None:
    measured = Measurements(start_processor=0.0, processor=0.01, waiting=0.0)
    used = count((Request(float(n), f"/x{n}y") for n in range(1500)), measured, RULES)
    assert len(used.routes) == 1001
    assert used.routes["(other routes)"].count == 500


def test_visits_come_along_the_curve_and_the_same_for_a_seed() -> None:
    made = list(make_requests(1000, requests_per_visit=2.5, pause=20, days=4))
    assert made == list(make_requests(1000, requests_per_visit=2.5, pause=20, days=4))
    times = [each.time for each in made]
    assert times == sorted(times)
    assert len(made) == pytest.approx(4 * 2500, rel=0.06)
    night = sum(1 for time in times if time % 86_400 < 6 * 3600)
    assert night / len(made) == pytest.approx(8 / 100, abs=0.02)
    assert [days_of(visits, 5) for visits in (1, 1000, 1e6)] == [30, 10, 1]
