"""A site as events of simpy: visitors, instances, their event loops and pools, the database, async workers.

simpy has what this needs (time, queues, resources), is maintained, typed and small, and has no dependencies.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Generator
from typing import Any, Final

import simpy

from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.processor import Processor
from leapcell_emulator.capacity.scenario import Scenario, Work

WARM_UP: Final = 0.2  # of the requests, which are left out of the figures
VISITOR_REGIONS: Final = 3
MANY: Final = 500.0  # visits an hour

Steps = Generator[simpy.Event, Any, None]


class _Instance:
    def __init__(self, site: Site, region: int, *, warm: bool) -> None:
        platform = site.scenario.platform
        self.region = region
        self.in_flight = 0
        self.last = site.env.now
        self.queued = False
        self.processor = Processor(
            share=platform.share,
            period=platform.period,
            saved=platform.saved,
            saved_at_most=platform.saved_at_most,
        )
        self.pool = simpy.Resource(site.env, capacity=max(1, site.scenario.database.pool))
        self.opened = 0
        self.ready = site.env.event()
        if warm:
            self.ready.succeed()
        else:
            site.env.process(site.start(self))


class Site:
    """Everything that runs."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.env = simpy.Environment()
        self.outcome = Outcome()
        self._chance = random.Random(scenario.seed)  # noqa: S311 - a simulation
        self._in_flight = 0
        self._connections = 0
        self._turn = 0
        self._alive = [0] * scenario.regions
        self._turns: list[deque[_Instance]] = [deque() for _ in range(scenario.regions)]
        self._workers = simpy.Resource(self.env, capacity=scenario.tasks.workers)
        self._all: list[_Instance] = []
        for region in range(scenario.regions):
            for _ in range(scenario.platform.instances or warm_instances(scenario)):
                self._add(region, warm=True)

    def run(self) -> Outcome:
        """Simulate all requests, and return what became of them."""
        scenario = self.scenario
        self.env.process(self._visits())
        self.env.run()
        self.outcome.seconds = self.env.now
        self.outcome.busy += sum(each.processor.busy for each in self._all)
        self.outcome.share = scenario.platform.share
        return self.outcome

    # Traffic

    def _visits(self) -> Steps:
        scenario = self.scenario
        if scenario.arrivals:
            for time in scenario.arrivals:
                yield self.env.timeout(time - self.env.now)
                self.env.process(self._request(0, counted=True))
            return
        # Of many visits, requests come one by one; of few, the first one starts an instance for the others.
        each = 1.0 if scenario.visits_per_hour >= MANY else scenario.requests_per_visit
        rate = scenario.visits_per_hour * scenario.requests_per_visit / each / 3600
        visits = max(1, round(scenario.requests / each))
        for number in range(visits):
            yield self.env.timeout(self._chance.expovariate(rate))
            self.env.process(self._visit(each, counted=number >= visits * WARM_UP))

    def _visit(self, requests: float, *, counted: bool) -> Steps:
        scenario = self.scenario
        whole, part = divmod(requests, 1)
        region = self._chance.randrange(VISITOR_REGIONS)
        for number in range(int(whole) + (self._chance.random() < part)):
            if number and scenario.pause:
                yield self.env.timeout(self._chance.expovariate(1 / scenario.pause))
            self.env.process(self._request(region, counted=counted))
            if self._chance.random() < scenario.tasks.per_request:
                self.env.process(self._task(region))

    def _task(self, region: int) -> Steps:
        queued = self.env.now
        self.outcome.tasks += 1
        with self._workers.request() as worker:
            yield worker
            self.outcome.task_wait.add(self.env.now - queued)
            yield self.env.process(self._request(region, counted=False, work=self.scenario.tasks.work))

    # One request

    def _request(self, visitor: int, *, counted: bool, work: Work | None = None) -> Steps:
        scenario, outcome = self.scenario, self.outcome
        limit = scenario.platform.limit
        outcome.requests += counted
        if limit and self._in_flight >= limit:
            outcome.refused += counted
            return
        self._in_flight += 1
        outcome.most_in_flight = max(outcome.most_in_flight, self._in_flight)
        begun = self.env.now
        region = visitor % scenario.regions
        instance = self._take(region)
        if not instance.ready.triggered:
            outcome.cold += counted
            yield instance.ready
        yield from self._work(instance, work or self._chance.choice(scenario.work))
        self._give_back(instance)
        self._in_flight -= 1
        far = scenario.region_latency if visitor != region else 0.0
        if counted:
            outcome.latency.add(self.env.now - begun + far)

    def _work(self, instance: _Instance, work: Work) -> Steps:
        database = self.scenario.database
        queries = database.queries
        # The session is opened in the middle of a request, and closed at its end.
        yield self._compute(instance, work.processor / 2 if queries else work.processor)
        if work.waiting:
            yield self.env.timeout(work.waiting)
        if not queries:
            return
        asked = self.env.now
        with instance.pool.request() as connection:
            yield connection
            self.outcome.pool_wait.add(self.env.now - asked)
            if instance.pool.count > instance.opened:
                instance.opened += 1
                self._connections += 1
                self.outcome.most_connections = max(self.outcome.most_connections, self._connections)
            away = database.latency + (self.scenario.region_latency if instance.region else 0.0)
            yield self.env.timeout(queries * (database.query + away))
            yield self._compute(instance, work.processor / 2)
        self.outcome.connection_seconds += self.env.now - asked

    def _compute(self, instance: _Instance, seconds: float) -> simpy.Event:
        now = self.env.now
        return self.env.timeout(max(0.0, instance.processor.run(now, seconds) - now))

    # Instances

    def start(self, instance: _Instance) -> Steps:
        """Let an instance become ready."""
        work = self.scenario.platform.start
        self.outcome.starts += 1
        yield self.env.timeout(work.waiting)
        yield self._compute(instance, work.processor)
        instance.ready.succeed()

    def _add(self, region: int, *, warm: bool) -> _Instance:
        instance = _Instance(self, region, warm=warm)
        self._all.append(instance)
        self._alive[region] += 1
        self.outcome.most_instances = max(self.outcome.most_instances, sum(self._alive))
        if warm:
            self._queue(instance)
        return instance

    def _queue(self, instance: _Instance) -> None:
        if not instance.queued:
            instance.queued = True
            self._turns[instance.region].append(instance)

    def _take(self, region: int) -> _Instance:
        """Return the instance whose turn it is, or a new one, and count the request there."""
        platform = self.scenario.platform
        turns = self._turns[region]
        instance: _Instance | None = None
        while turns and instance is None:
            instance = turns.popleft()
            instance.queued = False
            ended = instance.in_flight == 0 and self.env.now - instance.last > platform.dormant_after
            if ended and self._alive[region] > platform.kept:
                self._end(instance)
                instance = None
        if instance is None:
            if platform.instances is None and self._alive[region] >= platform.most:
                instance = min((each for each in self._all if each.region == region), key=lambda each: each.in_flight)
            else:
                instance = self._add(region, warm=False)
        instance.in_flight += 1
        if platform.instances is not None or instance.in_flight < platform.at_once:
            self._queue(instance)
        return instance

    def _give_back(self, instance: _Instance) -> None:
        instance.in_flight -= 1
        instance.last = self.env.now
        if instance.in_flight < self.scenario.platform.at_once:
            self._queue(instance)

    def _end(self, instance: _Instance) -> None:
        self._alive[instance.region] -= 1
        self._connections -= instance.opened
        self.outcome.busy += instance.processor.busy
        self._all.remove(instance)


def warm_instances(scenario: Scenario) -> int:
    """Return how many instances a region has that this load has been on for long; none where each soon ends."""
    platform, database = scenario.platform, scenario.database
    rate = scenario.visits_per_hour * scenario.requests_per_visit / 3600 / scenario.regions
    if rate * platform.dormant_after < 1:
        return platform.kept
    work = scenario.work
    seconds = sum(each.processor / min(1.0, platform.share) + each.waiting for each in work) / len(work)
    away = database.latency + (scenario.region_latency if scenario.regions > 1 else 0.0)
    at_once = rate * (seconds + database.queries * (database.query + away))
    limit = platform.limit / scenario.regions if platform.limit else at_once
    return max(platform.kept, min(platform.most, math.ceil(min(at_once, limit) / platform.at_once)))
