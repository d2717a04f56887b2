"""Cached values in the application's database: PostgreSQL or SQLite.

Each method is one statement that takes effect at once, so a transaction pooler and a frozen process do no harm.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

from sqlalchemy import bindparam, case, delete, func, literal, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastopp.cache.errors import StoreUnavailable
from fastopp.cache.store import EVERYTHING, LEASE, LONGEST, Entry, Found
from fastopp.cache.tables import entries, tags
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.database.session import Database

PATIENCE: Final = 1.0
"""Seconds that the cache waits for the database: a value can be computed instead."""

MAX_ENTRIES: Final = 10_000
LOOK_AFTER: Final = 64
"""Values that a process writes before it looks at the bounds, or fewer if they are big."""


class SQLStore:
    """The tables `cache_entries` and `cache_tags`.

    Parameters
    ----------
    max_bytes: of all values together. A process may exceed it by a sixteenth before it looks.
    max_entries: the number of values.
    patience: seconds that a statement may take.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_bytes: int,
        max_entries: int = MAX_ENTRIES,
        patience: float = PATIENCE,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._database = database
        self._patience = patience
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._written = (0, 0)  # values and bytes since the bounds were looked at

    async def read(self, key: str, tags: Sequence[str], known: Entry | None = None) -> Found:
        """Return a value and the versions of its tags."""
        parameters: dict[str, Any] = {f"tag{number}": tag for number, tag in enumerate((EVERYTHING, *tags))}
        stamp = known.stamp if known else ""
        async with self._connection() as connection:
            result = await connection.execute(_read_statement(len(parameters)), parameters | {"k": key, "known": stamp})
            row = result.one()
        versions = json.dumps([version or "" for version in row[: len(parameters)]])
        value, of_value, fresh_until, kept_until, found_stamp, leased_until = row[len(parameters) :]
        entry = None
        if found_stamp and kept_until > self._clock.time():
            # A value that this process has is not sent again.
            content = known.value if known and known.stamp == found_stamp else value
            entry = Entry(bytes(content), of_value, fresh_until, kept_until, found_stamp)
        return Found(entry, versions, found_stamp or "", (leased_until or 0) > self._clock.time())

    async def lease(self, key: str, token: str, seen: str) -> bool:
        """Claim the computation of a value."""
        now = self._clock.time()
        claim = {"lease": token, "leased_until": now + LEASE}
        first = {"key": key, "versions": "", "size": 0, "fresh_until": 0, "kept_until": now + LEASE, "stamp": ""}
        async with self._connection() as connection:
            statement = (
                _insert(connection)
                .values(**first, **claim)
                .on_conflict_do_update(
                    index_elements=["key"],
                    set_=claim,
                    where=(entries.c.leased_until <= now) & (entries.c.stamp == seen),
                )
                .returning(entries.c.lease)
            )
            return (await connection.execute(statement)).scalar() == token

    async def release(self, key: str, token: str) -> None:
        """Give the claim back."""
        statement = update(entries).where(entries.c.key == key, entries.c.lease == token)
        async with self._connection() as connection:
            await connection.execute(statement.values(leased_until=0))

    async def write(self, key: str, entry: Entry) -> bool:
        """Keep a value."""
        values = entry._asdict() | {"size": len(entry.value), "lease": entry.stamp, "leased_until": 0}
        async with self._connection() as connection:
            # The row of the claim is gone if the table was too full.
            statement = (
                _insert(connection)
                .values(key=key, **values)
                .on_conflict_do_update(
                    index_elements=["key"],
                    set_=values,
                    where=(entries.c.lease == entry.stamp) & (entries.c.leased_until > 0),
                )
                .returning(entries.c.stamp)
            )
            kept = (await connection.execute(statement)).scalar() is not None
        await self._look_at_bounds(len(entry.value))
        return kept

    async def invalidate(self, tags: Sequence[str]) -> None:
        """Give the tags new versions."""
        async with self._connection() as connection:
            await connection.execute(new_versions(connection.dialect.name, tags, self._clock.time()))

    async def clear(self) -> int:
        """Remove all values. Those that are being computed are invalidated by the tag of every value."""
        await self.invalidate([EVERYTHING])
        async with self._connection() as connection:
            return (await connection.execute(delete(entries))).rowcount

    async def clean_up(self) -> int:
        """Remove expired values, the versions of tags that no value has any more, and what exceeds the bounds."""
        now = self._clock.time()
        async with self._connection() as connection:
            await connection.execute(delete(tags).where(tags.c.changed_at < now - 2 * LONGEST))
            expired = await connection.execute(delete(entries).where(entries.c.kept_until <= now))
        return expired.rowcount + await self._evict()

    async def aclose(self) -> None:
        """Close nothing: the engine is the process's."""

    async def _look_at_bounds(self, size: int) -> None:
        number, written = self._written[0] + 1, self._written[1] + size
        if number < LOOK_AFTER and written < self._max_bytes // 16:
            self._written = number, written
            return
        self._written = (0, 0)
        await self._evict()

    async def _evict(self) -> int:
        async with self._connection() as connection:
            bounds = {"max_bytes": self._max_bytes, "max_entries": self._max_entries}
            return (await connection.execute(_evict_statement(), bounds)).rowcount

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self._patience), self._database.autocommit() as connection:
                yield connection
        except (DatabaseUnavailable, TablesMissing, SQLAlchemyError, TimeoutError) as error:
            raise StoreUnavailable(str(error)) from error


def new_versions(dialect: str, changed: Sequence[str], now: float) -> Any:  # noqa: ANN401 - an INSERT of either dialect
    """Return the statement that gives tags new versions. The order of the tags lets no two transactions deadlock."""
    rows = [{"tag": tag, "version": secrets.token_hex(8), "changed_at": now} for tag in sorted(set(changed))]
    statement = _insert_into(dialect, tags).values(rows)
    new = {"version": statement.excluded.version, "changed_at": statement.excluded.changed_at}
    return statement.on_conflict_do_update(index_elements=["tag"], set_=new)


def _insert(connection: AsyncConnection) -> Any:  # noqa: ANN401 - as above
    return _insert_into(connection.dialect.name, entries)


def _insert_into(dialect: str, table: Any) -> Any:  # noqa: ANN401 - as above
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - one of the two
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # noqa: PLC0415 - one of the two
    return insert(table)


@cache  # building it costs more than running it
def _read_statement(number: int) -> Any:  # noqa: ANN401 - SQLAlchemy has no type for a list of columns
    """Return a SELECT of one row: a version for each tag, then the columns of the value."""
    versions = [
        select(tags.c.version).where(tags.c.tag == bindparam(f"tag{place}")).scalar_subquery()
        for place in range(number)
    ]
    value = case((entries.c.stamp == bindparam("known"), None), else_=entries.c.value).label("content")
    columns = entries.c.versions, entries.c.fresh_until, entries.c.kept_until, entries.c.stamp, entries.c.leased_until
    one = select(literal(1).label("one")).subquery()
    joined = one.outerjoin(entries, entries.c.key == bindparam("k"))
    return select(*versions, value, *columns).select_from(joined)


@cache
def _evict_statement() -> Any:  # noqa: ANN401 - as above
    """Return a DELETE of the values that expire first, as many as exceed the bounds."""
    order = [entries.c.kept_until.desc(), entries.c.key]
    rows: dict[str, Any] = {"order_by": order, "rows": (None, 0)}
    counted = select(
        entries.c.key,
        func.sum(entries.c.size).over(**rows).label("bytes"),
        func.count().over(**rows).label("number"),
    ).subquery()
    beyond = or_(counted.c.bytes > bindparam("max_bytes"), counted.c.number > bindparam("max_entries"))
    return delete(entries).where(entries.c.key.in_(select(counted.c.key).where(beyond)))
