"""The figures of a simulated hour, and those that a limit can be compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from leapcell_emulator.cost.histogram import Histogram


@dataclass(slots=True)
class Outcome:
    """Counts are without the warm-up; the largest numbers are of all the time."""

    requests: int = 0
    refused: int = 0
    """With 429, since the plan allows no more at once."""
    cold: int = 0
    """Requests that waited for a start."""
    starts: int = 0
    tasks: int = 0
    most_in_flight: int = 0
    most_instances: int = 0
    most_connections: int = 0
    """To the database, over all instances; a pool keeps what it has opened."""
    connection_seconds: float = 0.0
    """The sum of the times that connections were lent or waited for."""
    seconds: float = 0.0
    """That were simulated."""
    busy: float = 0.0
    """Seconds that the instances' event loops had work to do."""
    share: float = 1.0
    latency: Histogram = field(default_factory=Histogram)
    pool_wait: Histogram = field(default_factory=Histogram)
    """Seconds until a connection of the pool was free."""
    task_wait: Histogram = field(default_factory=Histogram)
    """Seconds that async tasks were queued."""

    @property
    def p95(self) -> float:
        """Seconds that 95 % of the answered requests did not exceed."""
        return self.latency.quantile(0.95)

    @property
    def refused_share(self) -> float:
        """Of all requests."""
        return self.refused / self.requests if self.requests else 0.0

    @property
    def cold_share(self) -> float:
        """Of the answered requests."""
        return self.cold / self.latency.count if self.latency.count else 0.0
