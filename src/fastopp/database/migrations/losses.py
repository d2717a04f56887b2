"""Run migrations so that no data is lost unnoticed.

The migrations run once within a savepoint. When they leave every column in its place, that is all: a migration that
adds something costs nothing more. Otherwise the savepoint is rolled back, what is at stake is copied to temporary
tables, the migrations run again, and the copies are compared with what is there afterwards. So a renamed column, a
table that SQLite replaces by its copy, or values that were moved before their column was dropped are not taken for
losses, and a `DROP TABLE` in plain SQL is found like any other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from fastopp.database.migrations.errors import DataWouldBeLost
from fastopp.database.migrations.results import Applied
from fastopp.database.migrations.revisions import Revision
from fastopp.database.migrations.snapshot import Column, read_columns, tables_in_drops


class Loss(NamedTuple):
    """Data that migrations delete or change."""

    what: str
    rows: int

    def __str__(self) -> str:
        return f"{self.what} ({self.rows:,} row{'' if self.rows == 1 else 's'})"


def run_migrations(
    revisions: Mapping[str, Revision],
    connection: Connection,
    move: Callable[[Connection, str, Callable[[str], None]], None],
    target: str,
    *,
    allow_drop: bool,
) -> list[Applied]:
    """Run migrations with `move`, the project's upgrade or downgrade; return those that were run.

    Raises
    ------
    DataWouldBeLost: unless `allow_drop`.
    """
    applied: list[str] = []

    def run() -> None:
        applied.clear()
        move(connection, target, applied.append)

    if allow_drop:
        run()
    else:
        run_keeping_data(connection, run)
    return [Applied(revision, revisions[revision].title) for revision in applied]


def run_keeping_data(connection: Connection, run: Callable[[], None]) -> None:
    """Call `run`, which migrates, once or twice; with its second call, what the first one did was rolled back.

    Raises
    ------
    DataWouldBeLost: the caller is to roll the transaction back.
    """
    before = read_columns(connection)
    with tables_in_drops(connection, {column.table for column in before}) as dropped:
        attempt = connection.begin_nested()
        run()
    after = read_columns(connection)
    endangered = _endangered(before, after, dropped)
    if not endangered:
        attempt.commit()
        return
    attempt.rollback()
    copies = [_copy(connection, index, columns, after) for index, columns in enumerate(endangered)]
    run()
    if connection.dialect.name == "postgresql":
        # A time with a zone compares to one without as the same moment in UTC.
        connection.execute(text("SELECT set_config('timezone', 'UTC', true)"))
    losses = [loss for copy in copies for loss in _losses(connection, copy, _Places(before, after))]
    for copy in copies:
        connection.execute(text(f"DROP TABLE {copy.name}"))
    if losses:
        raise DataWouldBeLost([str(loss) for loss in losses])


def _endangered(before: Sequence[Column], after: Sequence[Column], dropped: set[str]) -> list[list[Column]]:
    """Return the columns that are not where they were, by table."""
    types = {column.identity: column.type for column in after}
    found: defaultdict[str, list[Column]] = defaultdict(list)
    for column in before:
        if column.table in dropped or types.get(column.identity) != column.type:
            found[column.table].append(column)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Copy:
    """A temporary table with the endangered columns of a table, and its key where that survives."""

    name: str
    keys: tuple[Column, ...]
    columns: tuple[Column, ...]


def _copy(connection: Connection, index: int, columns: list[Column], after: Sequence[Column]) -> _Copy:
    table = columns[0].table
    there = {(column.name, column.type) for column in after if column.table == table}
    keys = tuple(each for each in read_columns(connection) if each.table == table and each.key)
    if any((key.name, key.type) not in there for key in keys):
        keys = ()
    copy = _Copy(f"fastopp_before_{index}", keys, tuple(columns))
    names = [f"{key.sql} AS k{i}" for i, key in enumerate(keys)]
    names += [f"{column.sql} AS c{i}" for i, column in enumerate(columns)]
    source = _source(connection, table)
    connection.execute(text(f"CREATE TEMPORARY TABLE {copy.name} AS SELECT {', '.join(names)} FROM {source}"))  # noqa: S608 - names are quoted
    return copy


class _Places:
    """Find out to which column a column may have moved."""

    def __init__(self, before: Sequence[Column], after: Sequence[Column]) -> None:
        self._after = {column.identity: column for column in after}
        known = {column.identity for column in before}
        self._new = [column for column in after if column.identity not in known]
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for column in before:
            self._names[column.table].add(column.name)
        self._columns: defaultdict[str, list[Column]] = defaultdict(list)
        for column in after:
            self._columns[column.table].append(column)

    def table(self, table: str) -> str | None:
        """Return the table itself, or else the new one that has most of its columns."""
        if table in self._columns:
            return table
        new = [name for name in self._columns if name not in self._names]
        shared = {name: len(self._names[table] & {each.name for each in self._columns[name]}) for name in new}
        best = max(shared, key=lambda name: shared[name], default=None)
        return best if best and shared[best] else None

    def of(self, column: Column) -> list[Column]:
        """Return the column itself if it is still there, else every new one beside it."""
        if same := self._after.get(column.identity):
            return [same]
        table = self.table(column.table)
        beside = self._columns[table] if table else []
        same_name = [each for each in beside if each.name == column.name]
        return same_name or [each for each in self._new if each.table == table]


def _losses(connection: Connection, copy: _Copy, places: _Places) -> list[Loss]:
    table = copy.columns[0].table
    shown = _plain(table)
    if places.table(table) is None:
        rows = connection.scalar(text(f"SELECT count(*) FROM {copy.name}")) or 0  # noqa: S608 - our own name
        return [Loss(f"table {shown}", rows)] if rows else []
    found: list[Loss] = []
    for index, column in enumerate(copy.columns):
        candidates = places.of(column)
        lost = min(
            (_missing(connection, copy, index, each) for each in candidates), default=None
        )  # fmt: skip
        if lost is None:
            lost = connection.scalar(text(f"SELECT count(c{index}) FROM {copy.name}")) or 0  # noqa: S608 - as above
        if lost and column.key:
            return [Loss(f"rows of {shown}", lost)]
        if lost:
            gone = not any(each.name == column.name for each in candidates)
            changed = "" if gone else f", {column.type} to {candidates[0].type}"
            found.append(Loss(f"{'column' if gone else 'values of'} {shown}.{column.name}{changed}", lost))
    return found


def _missing(connection: Connection, copy: _Copy, index: int, column: Column) -> int:
    """Return how many values of a copied column another column does not have, as they were or converted back."""
    old = copy.columns[index]
    if column.type != old.type:
        # The conversion back fails for a value that is of the new type only.
        attempt = connection.begin_nested()
        try:
            count = _count_missing(connection, copy, index, column, converted=old.type)
        except DBAPIError:
            attempt.rollback()
        else:
            attempt.commit()
            return count
    return _count_missing(connection, copy, index, column)


def _count_missing(
    connection: Connection, copy: _Copy, index: int, column: Column, *, converted: str | None = None
) -> int:
    as_text = "CAST({} AS text)" if connection.dialect.name == "postgresql" else "{}"

    def row(keys: Sequence[str], value: str) -> str:
        return ", ".join(as_text.format(each) for each in (*keys, value))

    source = _source(connection, column.table)
    keys = [key.sql for key in copy.keys]
    present = [f"SELECT {row(keys, column.sql)} FROM {source}"]  # noqa: S608 - names are quoted
    if converted:
        present.append(f"SELECT {row(keys, f'CAST({column.sql} AS {converted})')} FROM {source}")  # noqa: S608 - as above
    wanted = row([f"k{i}" for i in range(len(keys))], f"c{index}")
    statement = text(
        f"WITH present AS ({' UNION '.join(present)}) "  # noqa: S608 - as above
        f"SELECT count(*) FROM (SELECT {wanted} FROM {copy.name} WHERE c{index} IS NOT NULL "
        "EXCEPT SELECT * FROM present) AS missing"
    )
    return connection.scalar(statement) or 0


def _source(connection: Connection, table: str) -> str:
    """Return what follows FROM: the table without those that inherit from it."""
    return f"ONLY {table}" if connection.dialect.name == "postgresql" else table


def _plain(table: str) -> str:
    return table.replace(r"\:", ":").strip('"').replace('""', '"')
