"""The attempts of a task, and the delay before each retry."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The number of attempts of a task, and their delays: `first` seconds, then `factor` times as long each time.

    Each pause is made up to `jitter` (a share of it) shorter or longer by chance, so that what failed together does
    not come back together.
    """

    attempts: int = 3
    """The number of attempts altogether."""
    first: float = 10.0
    factor: float = 3.0
    longest: float = 3600.0
    """Seconds that no pause exceeds."""
    jitter: float = 0.25
    on: tuple[type[BaseException], ...] = (Exception,)
    """The exceptions after which trying again makes sense."""

    def pause(self, attempt: int) -> float:
        """Seconds to wait after attempt number `attempt` (the first is 1) has failed."""
        try:
            plain = min(self.first * self.factor ** (attempt - 1), self.longest)
        except OverflowError:
            plain = self.longest
        return plain * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311 - no secret


NEVER_AGAIN = Retry(attempts=1)
