"""The tables of tasks, for SQLAlchemy: procrastinate's, and ours beside them.

They are no SQLModel tables: their shape is procrastinate's and the migration's, not a model's, so Alembic does not
compare them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Enum,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel.sql.sqltypes import UTCDateTime

metadata = MetaData()


class ExactJSON(TypeDecorator[Any]):
    """JSON on SQLite whose numbers are kept as they are.

    A column of type JSON has a number's affinity: SQLite makes a double of the text of a large integer, and an integer
    of `1.0`. Bytes stay bytes.
    """

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Return what makes a value for the driver."""
        write = super().bind_processor(dialect)

        def bind(value: Any) -> Any:  # noqa: ANN401 - any JSON
            written = write(value) if write else value
            return written.encode() if isinstance(written, str) and written[:1] in _NUMBER_STARTS else written

        return bind


_NUMBER_STARTS = frozenset("-0123456789")

_json = (
    JSON(none_as_null=True)
    .with_variant(JSONB(none_as_null=True), "postgresql")
    .with_variant(ExactJSON(none_as_null=True), "sqlite")
)
_id = BigInteger().with_variant(Integer, "sqlite")

JOB_STATUSES = ("todo", "doing", "succeeded", "failed", "cancelled", "aborting", "aborted")
EVENT_TYPES = (
    "deferred", "started", "deferred_for_retry", "failed", "succeeded", "cancelled", "abort_requested", "aborted",
    "scheduled", "retried",
)  # fmt: skip

jobs = Table(
    "procrastinate_jobs",
    metadata,
    Column("id", _id, primary_key=True),
    Column("queue_name", String(128), nullable=False),
    Column("task_name", String(128), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("lock", Text),
    Column("queueing_lock", Text),
    Column("args", _json, nullable=False),
    Column("status", Enum(*JOB_STATUSES, name="procrastinate_job_status"), nullable=False),
    Column("scheduled_at", UTCDateTime),
    Column("attempts", Integer, nullable=False),
    Column("abort_requested", Boolean, nullable=False),
    Column("worker_id", _id),
)


def has_status(*statuses: str) -> ColumnElement[bool]:
    """Whether a job has one of these statuses of procrastinate's; constants in the text, without which SQLite uses no
    partial index."""
    constants = [literal(status, jobs.c.status.type, literal_execute=True) for status in statuses]
    return jobs.c.status == constants[0] if len(constants) == 1 else jobs.c.status.in_(constants)


events = Table(
    "procrastinate_events",
    metadata,
    Column("id", _id, primary_key=True),
    Column("job_id", _id, nullable=False),
    Column("type", Enum(*EVENT_TYPES, name="procrastinate_job_event_type")),
    Column("at", UTCDateTime),
)

workers = Table(
    "procrastinate_workers",
    metadata,
    Column("id", _id, primary_key=True),
    Column("last_heartbeat", UTCDateTime, nullable=False),
)

slots = Table(
    "procrastinate_periodic_defers",
    metadata,
    Column("id", _id, primary_key=True),
    Column("task_name", String(128), nullable=False),
    Column("periodic_id", String(128), nullable=False),
    Column("defer_timestamp", BigInteger),
    Column("job_id", _id),
)
"""The newest time of each schedule that was queued."""

runs = Table(
    "task_runs",
    metadata,
    Column("job_id", _id, primary_key=True),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger),
    Column("message", Text, nullable=False),
    Column("result", _json),
    Column("error", Text, nullable=False),
    Column("place", _json),
    Column("updated_at", UTCDateTime, nullable=False),
)
"""A task's reports, a row after the first: progress, its checkpoint, and its result or error."""

traces = Table(
    "task_traces",
    metadata,
    Column("job_id", _id, primary_key=True),
    Column("traceparent", String(64), nullable=False),
)
"""The span that queued a job, where it is sent to a collector. https://www.w3.org/TR/trace-context/"""
