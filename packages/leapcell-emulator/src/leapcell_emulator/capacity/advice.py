"""Advice on sizes: each one is the smallest of a few that a simulation under the given load finds good enough."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from leapcell_emulator.capacity.limits import LONG_QUEUE
from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.scenario import Platform, Scenario, Work
from leapcell_emulator.capacity.site import Site
from leapcell_emulator.cost.share import SIZES, share_of

POOLS: Final = (1, 2, 3, 5, 8, 12, 20)
LIMITS: Final = (50, 20, 10, 5, 2, 1)
SHORT_WAIT: Final = 0.01  # seconds for a connection, at the p95
ENOUGH: Final = 2000  # requests of each trial
FULL: Final = 0.7  # of the workers' time
FEW_COLD: Final = 0.01  # of the requests
HARD: Final = 4  # times the soft limit, as `fly init` writes it

# https://fly.io/docs/machines/cpu-performance
FLY_SHARE: Final = 1 / 16
FLY_PERIOD: Final = 0.08
FLY_SAVED: Final = 5.0
FLY_SAVED_AT_MOST: Final = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One value, the key that holds it, and the figures that speak for it."""

    key: str
    value: int
    why: str


def fly_platform(
    *, start: Work, soft_limit: int, machines: int, kept: int, stop_after: float, hard_limit: int
) -> Platform:
    """Return machines of shared-cpu-1x: as many as exist take requests, `kept` of them never stop."""
    return Platform(
        share=FLY_SHARE,
        period=FLY_PERIOD,
        saved=FLY_SAVED,
        saved_at_most=FLY_SAVED_AT_MOST,
        start=start,
        dormant_after=stop_after,
        at_once=soft_limit,
        most=machines,
        kept=kept,
        limit=hard_limit * machines,
    )


def for_memory(scenario: Scenario, *, p95: float) -> Advice | None:
    """Return the smallest memory in MB that meets a p95 in seconds; None: no size does."""
    for memory in SIZES:
        found = _simulate(scenario, platform=replace(scenario.platform, share=share_of(memory)))
        if found.p95 <= p95 and not found.refused:
            return Advice(key="memory", value=memory, why=f"a p95 of {found.p95:.2f} s, of {p95:g} s wanted")
    return None


def for_pool(scenario: Scenario) -> Advice | None:
    """Return the smallest pool of an instance with which no request waits long for a connection."""
    if not scenario.database.queries:
        return None
    best = None
    for pool in POOLS:
        found = _simulate(scenario, database=replace(scenario.database, pool=pool))
        waited = found.pool_wait.quantile(0.95)
        best = Advice(
            key="pool",
            value=pool,
            why=f"a wait of {waited * 1000:.0f} ms at the p95, {found.most_connections} connections over all instances",
        )
        if waited <= SHORT_WAIT:
            break
    return best


def for_workers(scenario: Scenario) -> Advice | None:
    """Return the number of Async workers that are busy for 70 % of the time."""
    if not scenario.tasks.per_request:
        return None
    share = scenario.platform.share
    each = scenario.tasks.work.processor / share + scenario.tasks.work.waiting
    a_second = scenario.visits_per_hour * scenario.requests_per_visit * scenario.tasks.per_request / 3600
    workers = max(1, math.ceil(a_second * each / FULL))
    found = _simulate(scenario, tasks=replace(scenario.tasks, workers=workers))
    waited = found.task_wait.quantile(0.95)
    warned = "" if waited <= LONG_QUEUE else "; the plan's concurrency is what holds them up"
    return Advice(
        key="async_workers",
        value=workers,
        why=f"{a_second:.3g} tasks a second of {each:.2f} s; they are queued for {waited:.2f} s at the p95{warned}",
    )


def for_fly(scenario: Scenario, *, p95: float | None, start: Work, machines: int, stop_after: float) -> list[Advice]:
    """Return `soft_limit`, `hard_limit` and `min_machines_running` of fly.toml, or the machines that it takes."""
    needed = _machines_for(scenario)
    if needed > machines:
        why = f"{machines} machines of shared-cpu-1x cannot do this load; performance-1x does 16 times as much"
        return [Advice(key="machines", value=needed, why=why)]
    wanted = p95 if p95 is not None else math.inf
    soft = _soft_limit(scenario, wanted, start=start, machines=machines, stop_after=stop_after)
    kept, cold = 0, 0.0
    for kept in range(machines + 1):
        platform = fly_platform(
            start=start, soft_limit=soft, machines=machines, kept=kept, stop_after=stop_after, hard_limit=HARD * soft
        )
        found = _simulate(scenario, platform=platform)
        cold = found.cold_share
        if cold <= FEW_COLD:
            break
    return [
        Advice(key="soft_limit", value=soft, why="the largest of a few with which a machine answers in time"),
        Advice(key="hard_limit", value=HARD * soft, why=f"{HARD} times that"),
        Advice(key="min_machines_running", value=kept, why=f"{cold:.1%} of the requests wait for a start"),
    ]


def _machines_for(scenario: Scenario) -> int:
    """Return the machines whose lasting share of a processor the load fills to 70 %."""
    each = sum(work.processor for work in scenario.work) / len(scenario.work)
    used = scenario.visits_per_hour * scenario.requests_per_visit / 3600 * each
    return max(1, math.ceil(used / FLY_SHARE / FULL))


def _soft_limit(scenario: Scenario, wanted: float, *, start: Work, machines: int, stop_after: float) -> int:
    for soft in LIMITS:
        platform = fly_platform(
            start=start,
            soft_limit=soft,
            machines=machines,
            kept=machines,
            stop_after=stop_after,
            hard_limit=HARD * soft,
        )
        if _simulate(scenario, platform=platform).p95 <= wanted:
            return soft
    return LIMITS[-1]


def _simulate(scenario: Scenario, **changes: Any) -> Outcome:  # noqa: ANN401 - fields of the scenario
    return Site(replace(scenario, requests=ENOUGH, **changes)).run()


def words(advice: Iterable[Advice]) -> list[str]:
    """Each piece of advice in a line."""
    return [f"{each.key} = {each.value}: {each.why}." for each in advice]
