"""The columns of the table of figures, for SQL that adds rows up."""

from __future__ import annotations

from typing import Final

from fastopp.recording import BOUNDS

KEY: Final = ("kind", "name", "method", "outcome")
"""The columns of a series."""
PLACE: Final = ("period", "since", *KEY)
"""The columns of a row's place."""

BUCKETS: Final = tuple(f"b{index:02}" for index in range(len(BOUNDS) + 1))
COUNTERS: Final = (
    "count", "queries", "storage_calls", "processor_count", "bytes", *BUCKETS,
)  # fmt: skip
SECONDS: Final = ("seconds", "database_seconds", "storage_seconds", "processor_seconds")
SLOWEST: Final = "slowest"

SUMS: Final = (*COUNTERS, *SECONDS)
"""The columns whose values are added up."""
VALUES: Final = (*SUMS, SLOWEST)


def added_up() -> str:
    """Return the columns of a group as SQL: their sums, and the slowest."""
    return ", ".join([*(f"sum({column}) AS {column}" for column in SUMS), f"max({SLOWEST}) AS {SLOWEST}"])


def add_to_kept(maximum: str) -> str:
    """Return what an upsert into `monitor_figures AS kept` does with a row that is there already.

    Parameters
    ----------
    maximum: the function of two values: `greatest` on PostgreSQL, `max` on SQLite.
    """
    sums = [f"{column} = kept.{column} + excluded.{column}" for column in SUMS]
    slowest = f"{SLOWEST} = {maximum}(kept.{SLOWEST}, excluded.{SLOWEST})"
    return f"ON CONFLICT ({', '.join(PLACE)}) DO UPDATE SET {', '.join([*sums, slowest])}"
