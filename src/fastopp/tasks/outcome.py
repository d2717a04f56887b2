"""The outcome of an attempt, as it is written into the database."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A task's reports: a row of `task_runs`, except its checkpoint, which is saved separately."""

    done: int = 0
    total: int | None = None
    message: str = ""
    result: Any = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a try."""

    job_id: int
    status: Literal["succeeded", "failed", "aborted", "todo"]
    """procrastinate's; "todo" goes back to the queue."""
    counted: bool = True
    """Whether it was one of the tries that the task has."""
    pause: float = 0.0
    """Seconds until the next try, in database time."""
    run: Run | None = None
    """None: there is nothing to report, and no row yet."""
    written: bool = False
    """The job ended in its own transaction; there is nothing to write."""

    def as_json(self) -> dict[str, Any]:
        """For the statement that writes many of them."""
        given = {
            "id": self.job_id,
            "status": self.status,
            "counted": int(self.counted),
            "pause": self.pause,
            "keep": self.run is not None,
        }
        return given | asdict(self.run) if self.run else given
