"""Count rows at a bounded cost: exactly up to a limit, and beyond it as an estimate.

`count(*)` reads every row that it counts: a second for some millions. The last digits of such a number have no reader.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from sqlalchemy import Select, Table, func, literal_column, text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

EXACT_UP_TO = 10_000  # rows; reading their index entries takes a few milliseconds

_PLANNED = text("""
SELECT reltuples, relpages, pg_relation_size(oid) / current_setting('block_size')::int AS pages
FROM pg_class WHERE oid = to_regclass(:name)
""")


class Count(NamedTuple):
    """A number of rows, as a person reads it: `12`, `about 1000000`, `more than 10000`."""

    rows: int
    accuracy: Literal["exact", "about", "more than", "at least"] = "exact"

    @property
    def is_exact(self) -> bool:
        """Whether it is the number itself."""
        return self.accuracy == "exact"

    def __bool__(self) -> bool:
        return self.rows > 0

    def __format__(self, spec: str) -> str:
        number = format(self.rows, spec)
        return number if self.is_exact else f"{self.accuracy} {number}"

    def __str__(self) -> str:
        return format(self)


async def count_matching(session: AsyncSession, query: Select[Any], *, limit: int = EXACT_UP_TO) -> Count:
    """Return how many rows a query has, without reading more than `limit` of them.

    Give it an order that an index has after the columns of its condition: without one, PostgreSQL may read the whole
    table for rows that it takes for frequent.
    """
    found = await _count_up_to(session, query, limit + 1)
    return Count(found) if found <= limit else Count(limit, "more than")


async def count_table(session: AsyncSession, table: Table, *, limit: int = EXACT_UP_TO) -> Count:
    """Return how many rows a table has: exactly up to `limit`, and beyond it by what the database knows anyway."""
    counted = await count_matching(session, select(literal_column("1")).select_from(table), limit=limit)
    if counted.is_exact:
        return counted
    estimate = await estimate_rows(session, table)
    return Count(estimate, "about") if estimate > limit else counted


async def estimate_rows(session: AsyncSession, table: Table) -> int:
    """Return about how many rows a table has, at the cost of one look-up; 0 when it is not known.

    PostgreSQL estimates by its newest ANALYZE and the size of the table today. On SQLite it is the range of the row
    numbers: too many by those deleted in between.
    """
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        if not table.dialect_options["sqlite"].get("with_rowid", True):
            return 0
        name = connection.dialect.identifier_preparer.format_table(table)
        newest, oldest = (f"(SELECT {pick}(rowid) FROM {name})" for pick in ("max", "min"))  # noqa: S608 - a model's table
        return int((await connection.execute(text(f"SELECT {newest} - {oldest} + 1"))).scalar() or 0)
    name = connection.dialect.identifier_preparer.format_table(table)
    row = (await connection.execute(_PLANNED, {"name": name})).one_or_none()
    if row is None or row.reltuples <= 0 or row.relpages <= 0:  # never analysed
        return 0
    return int(_round(row.reltuples * row.pages / row.relpages))


def _round(number: float) -> float:
    """Return the number with three digits that mean something."""
    scale = 10 ** max(len(str(int(number))) - 3, 0)
    return float(round(number / scale) * scale)


async def _count_up_to(session: AsyncSession, query: Select[Any], limit: int) -> int:
    counted = select(func.count()).select_from(query.limit(limit).subquery())
    found: int = (await session.exec(counted)).one()
    return found
