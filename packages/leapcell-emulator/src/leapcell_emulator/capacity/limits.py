"""The limits that a load can exceed, and the load at which the first one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.scenario import Scenario
from leapcell_emulator.capacity.site import Site

LONG_WAIT: Final = 0.1  # seconds for a connection of the pool, at the p95
LONG_QUEUE: Final = 60.0  # seconds that an async task may be queued, at the p95
SOME: Final = 0.001  # of the requests may be refused
LEAST: Final = 1.0  # visits an hour
MOST: Final = 1_000_000.0
ENOUGH: Final = 2000  # requests of each trial
CLOSE: Final = 1.1  # the factor to which the load is found


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit, and how much of it a load takes."""

    name: str
    used: float
    limit: float
    unit: str
    broken: bool
    fix: str


def limits_of(scenario: Scenario, outcome: Outcome, *, p95: float | None = None) -> list[Limit]:
    """Return all limits that are known, the one that is exceeded most first."""
    platform, database = scenario.platform, scenario.database
    found = []
    if platform.limit:
        refused = outcome.refused_share > SOME
        fix = "A plan with more concurrent requests, shorter requests, or a cache."
        used = max(float(outcome.most_in_flight), platform.limit * (1 + outcome.refused_share) if refused else 0.0)
        found.append(
            Limit(name="concurrent requests", used=used, limit=platform.limit, unit="", broken=refused, fix=fix)
        )
    if database.queries:
        waited = outcome.pool_wait.quantile(0.95)
        found.append(
            Limit(
                name="wait for a connection of the pool",
                used=waited,
                limit=LONG_WAIT,
                unit="s",
                broken=waited > LONG_WAIT,
                fix="A larger pool, fewer or faster queries, or fewer requests at once in an instance.",
            )
        )
    if database.queries and database.connections:
        used = outcome.most_connections
        fix = "A smaller pool, a pooler in transaction mode, or more connections."
        found.append(
            Limit(
                name="connections of the database",
                used=used,
                limit=database.connections,
                unit="",
                broken=used > database.connections,
                fix=fix,
            )
        )
    if outcome.tasks:
        waited = outcome.task_wait.quantile(0.95)
        fix = "More Async workers, or shorter tasks."
        found.append(
            Limit(name="queue of Async", used=waited, limit=LONG_QUEUE, unit="s", broken=waited > LONG_QUEUE, fix=fix)
        )
    if p95 is not None:
        fix = "More memory, which is more of a processor; fewer requests at once in an instance; or a region nearer."
        found.append(Limit(name="p95", used=outcome.p95, limit=p95, unit="s", broken=outcome.p95 > p95, fix=fix))
    return sorted(found, key=lambda each: (not each.broken, -each.used / each.limit))


def first_to_break(
    scenario: Scenario, *, p95: float | None, simulate: Callable[[Scenario], Outcome] = lambda each: Site(each).run()
) -> tuple[float, Limit] | None:
    """Return the smallest load in visits an hour that exceeds a limit, to 10 %, and that limit; None: no load does."""
    # Cold starts break a p95 under the smallest loads, and not under larger ones: the search is above them.
    low = high = 100.0

    def broken(load: float) -> Limit | None:
        tried = replace(scenario, visits_per_hour=load, requests=ENOUGH)
        first = limits_of(tried, simulate(tried), p95=p95)[:1]
        return first[0] if first and first[0].broken else None

    found = broken(high)
    while found is None and high < MOST:
        low, high = high, high * 10
        found = broken(high)
    while found is not None and low == high and low > LEAST:
        high, low = low, low / 10
        if (smaller := broken(low)) is not None:
            found, high = smaller, low
    if found is None:
        return None
    while high / low > CLOSE:
        middle = (low * high) ** 0.5
        if (limit := broken(middle)) is not None:
            high, found = middle, limit
        else:
            low = middle
    return high, found
