"""The input of a simulation: the work of a request, the platform's rules, the database, and the traffic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple


class Work(NamedTuple):
    """One request's work: seconds of a whole core, and of waiting besides the database."""

    processor: float
    waiting: float = 0.0


NOTHING: Final = Work(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """The rules for instances."""

    share: float
    """Of a core."""
    period: float = 0.1
    """Seconds over which the share is granted."""
    saved: float = 0.0
    saved_at_most: float = 0.0
    """Processor seconds that an idle instance has saved for bursts, at first and at most: at Fly.io."""
    start: Work = NOTHING
    """Of a cold start; `waiting` includes what the platform adds."""
    dormant_after: float = 1800.0
    """Seconds without a request after which an instance ends."""
    at_once: int = 1
    """Requests that an instance takes at a time; one more starts another instance, or waits."""
    instances: int | None = None
    """As many instances, which take turns and any number of requests; None: as many as needed."""
    most: int = 1000
    """Instances in a region at most; then they take more than `at_once`."""
    kept: int = 0
    """Instances that never end, and are warm at first."""
    limit: int = 100
    """Requests in flight over all regions; more are refused. 0: no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The database, as the application uses it."""

    queries: float = 0.0
    """Of a request, one after the other."""
    query: float = 0.002
    """Seconds of a query in the database."""
    latency: float = 0.001
    """Seconds of a round trip."""
    pool: int = 5
    """Connections that an instance opens at most."""
    connections: int = 0
    """That the database accepts; 0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    """Async tasks, which workers deliver to the same instances."""

    per_request: float = 0.0
    work: Work = NOTHING
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """All of it, under one load."""

    visits_per_hour: float
    requests_per_visit: float = 5.0
    pause: float = 20.0
    """Seconds between two requests of a visit."""
    arrivals: Sequence[float] = ()
    """Seconds at which requests come, ascending, in place of visits; all of them are counted."""
    work: Sequence[Work] = field(default_factory=lambda: (Work(0.02),))
    """Requests to choose from, each as likely."""
    platform: Platform
    database: Database = Database()
    tasks: Tasks = Tasks()
    regions: int = 1
    """Regions with instances; visitors are in three."""
    region_latency: float = 0.0
    """Seconds of a round trip between two regions."""
    requests: int = 4000
    """To simulate."""
    seed: int = 1
