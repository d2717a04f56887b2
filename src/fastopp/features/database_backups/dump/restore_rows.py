"""Write the rows of a dump into tables: inserts, foreign keys that point backwards, sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from fastopp.database.migrations.snapshot import quote
from fastopp.features.database_backups.dump.errors import BadDump, RestoreFailed, ValueDoesNotFit
from fastopp.features.database_backups.dump.format import DumpedTable
from fastopp.features.database_backups.dump.refusals import find_refused, probe_insert
from fastopp.features.database_backups.dump.schema import Column, Table, backward_keys
from fastopp.features.database_backups.dump.to_postgresql import to_postgresql
from fastopp.features.database_backups.dump.to_sqlite import check_sign, to_sqlite

_SHOWN = 60  # characters of a key that a message shows


class Insert:
    """The INSERT into a table, for rows of its dump."""

    def __init__(self, connection: Connection, table: Table, dumped: DumpedTable) -> None:
        columns = {column.name: column for column in table.columns}
        unknown = [name for name, _ in dumped.columns if name not in columns]
        if unknown:
            raise RestoreFailed(
                f"The table {table.name} has no column {', '.join(unknown)}, which the dump has. Nothing was changed.",
                hint="Add the column with a migration, or restore with the code that the dump was made with.",
            )
        self.table = table.name
        self._pairs = [(columns[name], kind) for name, kind in dumped.columns]
        self._keys = [index for index, (name, _) in enumerate(dumped.columns) if name in table.primary_key]
        self._done = 0
        target = quote(table.name)
        names = ", ".join(quote(name) for name, _ in dumped.columns)
        self._postgresql = connection.dialect.name == "postgresql"
        if not self._postgresql:
            values = ", ".join(f":c{index}" for index in range(len(self._pairs)))
            self._statement = text(f"INSERT INTO {target} ({names}) VALUES ({values})")  # noqa: S608 - names are quoted
            return
        # One array a column: a piece is one statement with few parameters, for any number of rows.
        count = range(len(self._pairs))
        casts = ", ".join(f"CAST(c{i} AS {self._pairs[i][0].declared.replace(':', chr(92) + ':')})" for i in count)
        arrays, aliases = ", ".join(f":c{i}" for i in count), ", ".join(f"c{i}" for i in count)
        # OVERRIDING: the database would number an identity column itself.
        self._statement = text(
            f"INSERT INTO {target} ({names}) OVERRIDING SYSTEM VALUE "  # noqa: S608 - names are quoted
            f"SELECT {casts} FROM unnest({arrays}) AS dumped ({aliases})"
        ).bindparams(*(bindparam(f"c{i}", type_=ARRAY(Text())) for i in count))

    def run(self, connection: Connection, rows: list[list[Any]]) -> None:
        """Insert rows. Raises ValueDoesNotFit."""
        values = self._values(rows)
        parameters: Any
        if self._postgresql:
            parameters = {f"c{index}": column for index, column in enumerate(values)}
        else:
            parameters = [{f"c{index}": value for index, value in enumerate(row)} for row in zip(*values, strict=True)]
        connection.execute(self._statement, parameters)
        self._done += len(rows)

    def explain(self, connection: Connection, rows: list[list[Any]]) -> None:
        """Raise ValueDoesNotFit for the value among these rows that PostgreSQL refuses, if it is one."""
        columns = [
            (column.name, values, text(probe_insert(column.name, column.declared)).bindparams(_ARRAY))
            for (column, _), values in zip(self._pairs, self._values(rows), strict=True)
        ]
        if found := find_refused(connection, self.table, columns):
            index, row, reason = found
            raise self._does_not_fit(index, rows, row, f"PostgreSQL says: {reason}.")

    def _values(self, rows: list[list[Any]]) -> list[list[Any]]:
        """Return the rows as columns of values for the driver."""
        values: list[list[Any]] = []
        for index, (column, kind) in enumerate(self._pairs):
            converted: list[Any] = []
            for row in rows:
                try:
                    converted.append(self._convert(column, kind, row[index]))
                except ValueDoesNotFit as error:
                    raise self._does_not_fit(index, rows, len(converted), error.message) from error
            values.append(converted)
        return values

    def _convert(self, column: Column, kind: str, value: Any) -> Any:  # noqa: ANN401 - JSON, and a driver's value
        if value is None and not column.nullable:
            raise ValueDoesNotFit("It is NULL, which the column does not take.")
        try:
            if self._postgresql:
                return to_postgresql(kind, value, column)
            converted = to_sqlite(kind, value, declared=column.declared, uuid=column.uuid, decimals=column.decimals)
        except (ValueError, TypeError, AttributeError) as error:
            raise BadDump from error
        check_sign(converted, column.declared)
        return converted

    def _does_not_fit(self, index: int, rows: list[list[Any]], row: int, reason: str) -> ValueDoesNotFit:
        keys = ", ".join(f"{self._pairs[key][0].name} {_shown(rows[row][key])}" for key in self._keys)
        where = (
            f"{self.table}.{self._pairs[index][0].name} in row {self._done + row + 1:,}{f' ({keys})' if keys else ''}"
        )
        return ValueDoesNotFit(f"A value of {where} does not fit: {reason} Nothing was changed.")


_ARRAY = bindparam("c0", type_=ARRAY(Text()))


def _shown(value: Any) -> str:  # noqa: ANN401 - JSON
    text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


@contextmanager
def checked_at_the_end(connection: Connection, tables: dict[str, Table], order: Sequence[str]) -> Iterator[None]:
    """Inside it, foreign keys may be broken where `order` makes that necessary."""
    deferred = defer(connection, tables, order)
    yield
    check_now(connection, deferred)


def defer(connection: Connection, tables: dict[str, Table], order: Sequence[str]) -> list[str]:
    """Let foreign keys that point backwards in `order` be checked later; the SQL that undoes it.

    On SQLite the transaction checks all of them at its end anyway.
    """
    if connection.dialect.name != "postgresql":
        return []
    undo = []
    for key in backward_keys(tables, order):
        constraint = quote(key.name or "")
        alter = f"ALTER TABLE {quote(key.table)} ALTER CONSTRAINT {constraint}"
        if not key.deferrable:
            connection.execute(text(f"{alter} DEFERRABLE"))
            undo.append(f"{alter} NOT DEFERRABLE")
        connection.execute(text(f"SET CONSTRAINTS {constraint} DEFERRED"))
    return undo


def check_now(connection: Connection, undo: Sequence[str]) -> None:
    """Check what `defer` deferred, and take that back."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        for statement in undo:
            connection.execute(text(statement))


def advance_sequences(connection: Connection, tables: Sequence[str]) -> None:
    """Let each sequence go on after the highest number that its column holds. SQLite does that by itself."""
    if connection.dialect.name != "postgresql":
        return
    owned = text("""
        SELECT a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND c.relname = :table AND a.attnum > 0 AND NOT a.attisdropped
        AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL
    """)
    for table in tables:
        for column, sequence in connection.execute(owned, {"table": table}).all():
            highest = f"(SELECT max({quote(column)}) FROM {quote(table)})"  # noqa: S608 - as above
            connection.execute(
                text(f"SELECT setval(CAST(:sequence AS regclass), coalesce({highest}, 1), {highest} IS NOT NULL)"),
                {"sequence": sequence},
            )
