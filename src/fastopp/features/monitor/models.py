"""The tables of the monitor: figures of several periods with their totals, instances, and slow statements.

A flush writes them with plain SQL (`fastopp.features.monitor.writing`), so that a cold start need not import these.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Text
from sqlmodel import Field, SQLModel

from fastopp.database.framework_tables import MONITOR_FIGURES, MONITOR_INSTANCES, MONITOR_STATEMENTS


class MonitorFigures(SQLModel, table=True):
    """The figures of a series in a period. A backup of the database leaves this table out.

    Each piece of work is in all periods of `periods.WRITTEN`, as long as they are kept. Four hours move to their day,
    so that it is once in those two together, as in the total.
    """

    __tablename__ = MONITOR_FIGURES

    period: int = Field(primary_key=True)
    """`TOTAL`, `MINUTE`, `HOUR`, `FOUR_HOURS` or `DAY`."""
    since: int = Field(primary_key=True, sa_type=BigInteger)
    """The beginning of the period in seconds since 1970; 0 for the total."""
    kind: str = Field(primary_key=True, max_length=16)
    """`request`, `task`, `query` or `instance`."""
    name: str = Field(primary_key=True, max_length=255)
    """The template of a route, the name of a task, the name of a statement, or `start` and `frozen`."""
    method: str = Field(primary_key=True, max_length=16)
    """Of a request."""
    outcome: str = Field(primary_key=True, max_length=16)
    """The status of a request, or how the attempt of a task ended."""

    count: int = Field(sa_type=BigInteger, nullable=False)
    seconds: float = Field(sa_type=Float, nullable=False)
    slowest: float = Field(sa_type=Float, nullable=False)
    queries: int = Field(sa_type=BigInteger, nullable=False)
    database_seconds: float = Field(sa_type=Float, nullable=False)
    storage_calls: int = Field(sa_type=BigInteger, nullable=False)
    storage_seconds: float = Field(sa_type=Float, nullable=False)
    processor_count: int = Field(sa_type=BigInteger, nullable=False)
    """Requests or attempts whose processor time is known: those during which the process did nothing else."""
    processor_seconds: float = Field(sa_type=Float, nullable=False)
    bytes: int = Field(sa_type=BigInteger, nullable=False)

    # The histogram of seconds: the number in each bucket, whose upper bounds are `fastopp.recording.BOUNDS`.
    b00: int = Field(sa_type=BigInteger, nullable=False)
    b01: int = Field(sa_type=BigInteger, nullable=False)
    b02: int = Field(sa_type=BigInteger, nullable=False)
    b03: int = Field(sa_type=BigInteger, nullable=False)
    b04: int = Field(sa_type=BigInteger, nullable=False)
    b05: int = Field(sa_type=BigInteger, nullable=False)
    b06: int = Field(sa_type=BigInteger, nullable=False)
    b07: int = Field(sa_type=BigInteger, nullable=False)
    b08: int = Field(sa_type=BigInteger, nullable=False)
    b09: int = Field(sa_type=BigInteger, nullable=False)
    b10: int = Field(sa_type=BigInteger, nullable=False)
    b11: int = Field(sa_type=BigInteger, nullable=False)
    b12: int = Field(sa_type=BigInteger, nullable=False)
    b13: int = Field(sa_type=BigInteger, nullable=False)
    b14: int = Field(sa_type=BigInteger, nullable=False)
    b15: int = Field(sa_type=BigInteger, nullable=False)
    b16: int = Field(sa_type=BigInteger, nullable=False)
    b17: int = Field(sa_type=BigInteger, nullable=False)

    @property
    def buckets(self) -> list[int]:
        """The histogram."""
        return [getattr(self, f"b{index:02}") for index in range(18)]


class MonitorInstance(SQLModel, table=True):
    """A process of the site, as of its last flush. A backup of the database leaves this table out."""

    __tablename__ = MONITOR_INSTANCES

    id: str = Field(primary_key=True, max_length=32)
    flush: int = Field(sa_type=BigInteger, nullable=False)
    """The number of its last flush. One that arrives a second time has no effect."""
    platform: str = Field(max_length=32, nullable=False)
    started_at: int = Field(sa_type=BigInteger, nullable=False)
    """Seconds since 1970."""
    seen_at: int = Field(sa_type=BigInteger, nullable=False, index=True)
    start_seconds: float | None = Field(default=None, sa_type=Float)
    """From the start of the process to its first answer, without waiting for a request."""
    frozen_seconds: float = Field(sa_type=Float, nullable=False)
    processor_seconds: float = Field(sa_type=Float, nullable=False)
    memory: int | None = Field(default=None, sa_type=BigInteger)
    """Resident bytes; None where the system does not report them."""
    memory_limit: int = Field(sa_type=BigInteger, nullable=False)
    connections: int = Field(nullable=False)
    """Open connections to the database, and the most that it may open."""
    connections_limit: int = Field(nullable=False)


class MonitorStatement(SQLModel, table=True):
    """A slow statement, by the name of its series. A backup of the database leaves this table out."""

    __tablename__ = MONITOR_STATEMENTS

    name: str = Field(primary_key=True, max_length=32)
    text: str = Field(sa_type=Text, nullable=False)
    """The SQL without values."""
    caller: str = Field(max_length=300, nullable=False)
    """The file and line of the project that ran it."""
