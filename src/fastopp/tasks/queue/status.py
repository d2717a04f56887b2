"""The status of a job, read from the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Select, and_, case, exists, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from fastopp.tasks.clock import from_now
from fastopp.tasks.models import events, has_status, jobs, runs, workers

Status = Literal["waiting", "scheduled", "running", "succeeded", "failed", "cancelled"]
STATUSES: tuple[Status, ...] = ("waiting", "scheduled", "running", "succeeded", "failed", "cancelled")

_OF_JOBS = ("id", "task_name", "args", "queue_name", "attempts", "scheduled_at", "abort_requested")
_OF_RUNS = ("done", "total", "message", "result", "error")
CANCELLED = ("cancelled", "aborting", "aborted")
_FINAL_EVENTS = ("succeeded", "failed", "cancelled", "aborted")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStatus:
    """A job as people see it. Times are aware, in UTC; `total` is None while it is not known."""

    id: int
    name: str
    args: dict[str, Any]
    status: Status
    queue: str
    attempts: int
    """The number of attempts that ended; one that raised `Unfinished` is not counted."""
    queued_at: datetime | None = None
    scheduled_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    done: int = 0
    total: int | None = None
    message: str = ""
    result: Any = None
    error: str = ""
    """The reason why the last attempt failed; also while it waits for the next one."""
    stalled: bool = False
    """It is running, but its worker gives no sign of life: the next drain or worker takes it over."""
    stopping: bool = False
    """It is running and was asked to stop."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it by itself."""
        return self.status in ("succeeded", "failed", "cancelled")

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON holds it: times as ISO 8601 texts."""
        return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(self).items()}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> TaskStatus:
        """Of a row of `select_statuses`."""
        return cls(
            id=row["id"],
            name=row["task_name"],
            args=row["args"],
            status=row["state"],
            queue=row["queue_name"],
            attempts=row["attempts"],
            queued_at=row["queued_at"],
            scheduled_at=row["scheduled_at"],
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            done=row["done"] or 0,
            total=row["total"],
            message=_told(row),
            result=row["result"],
            error=row["error"] or "",
            stalled=bool(row["stalled"]),
            stopping=row["state"] == "running" and bool(row["abort_requested"]),
        )


def _told(row: Mapping[str, Any]) -> str:
    """Return the task's report: its progress, or its result once it has succeeded."""
    result = row["result"] if row["state"] == "succeeded" else None
    told = result.get("message") if isinstance(result, dict) else None
    return told if isinstance(told, str) else row["message"] or ""


def state() -> ColumnElement[str]:
    """A job's `Status`, as SQL."""
    return case(
        (and_(jobs.c.status == "todo", jobs.c.scheduled_at > from_now()), "scheduled"),
        (jobs.c.status == "todo", "waiting"),
        (jobs.c.status == "doing", "running"),
        (jobs.c.status == "succeeded", "succeeded"),
        (jobs.c.status == "failed", "failed"),
        else_="cancelled",
    )


def in_state(status: Status) -> ColumnElement[bool]:
    """Return whether a job has this status, so that indexes on procrastinate's own column are used."""
    is_later = jobs.c.scheduled_at > from_now()
    return {
        "waiting": and_(has_status("todo"), or_(jobs.c.scheduled_at.is_(None), ~is_later)),
        "scheduled": and_(has_status("todo"), is_later),
        "running": has_status("doing"),
        "succeeded": jobs.c.status == "succeeded",
        "failed": has_status("failed"),
        "cancelled": has_status(*CANCELLED),
    }[status]


def is_stalled(stalled_after: float) -> ColumnElement[bool]:
    """Return whether a job is being done by a worker that has given no sign of life for so many seconds."""
    alive = exists().where(workers.c.id == jobs.c.worker_id, workers.c.last_heartbeat >= from_now(-stalled_after))
    return and_(has_status("doing"), ~alive)


def _when(*types: str, first: bool = False) -> ColumnElement[datetime]:
    pick = func.min if first else func.max
    asked = select(pick(events.c.at, type_=events.c.at.type))
    return asked.where(events.c.job_id == jobs.c.id, events.c.type.in_(types)).scalar_subquery()


def select_statuses(stalled_after: float) -> Select[Any]:
    """Jobs with what is known of them; add the conditions and the order."""
    final = jobs.c.status.not_in(("todo", "doing"))
    columns: list[ColumnElement[Any]] = [
        *(jobs.c[name] for name in _OF_JOBS),
        *(runs.c[name] for name in _OF_RUNS),
        state().label("state"),
        _when("deferred", first=True).label("queued_at"),
        _when("started").label("started_at"),
        case((final, _when(*_FINAL_EVENTS))).label("finished_at"),
        is_stalled(stalled_after).label("stalled"),
    ]
    return select(*columns).select_from(jobs.outerjoin(runs, runs.c.job_id == jobs.c.id))
