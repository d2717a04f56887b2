"""How the rows of a dump get into tables: inserts, foreign keys that point backwards, sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ARRAY, Connection, Text, bindparam, text

from fastopp.database.dump.errors import BadDump, RestoreFailed, ValueDoesNotFit
from fastopp.database.dump.format import DumpedTable
from fastopp.database.dump.schema import Column, Table, backward_keys, quote
from fastopp.database.dump.values import to_postgresql, to_sqlite


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
        self._table = table.name
        self._pairs = [(columns[name], kind) for name, kind in dumped.columns]
        target = quote(table.name)
        names = ", ".join(quote(name) for name, _ in dumped.columns)
        self._postgresql = connection.dialect.name == "postgresql"
        if not self._postgresql:
            values = ", ".join(f":c{index}" for index in range(len(self._pairs)))
            self._statement = text(f"INSERT INTO {target} ({names}) VALUES ({values})")  # noqa: S608 - names are quoted
            return
        # One array a column: a piece is one statement with few parameters, whatever the number of rows.
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
        values = [
            [self._convert(column, kind, value) for value in column_of_rows]
            for (column, kind), column_of_rows in zip(self._pairs, zip(*rows, strict=True), strict=True)
        ]
        parameters: Any
        if self._postgresql:
            parameters = {f"c{index}": column for index, column in enumerate(values)}
        else:
            parameters = [{f"c{index}": value for index, value in enumerate(row)} for row in zip(*values, strict=True)]
        connection.execute(self._statement, parameters)

    def _convert(self, column: Column, kind: str, value: Any) -> Any:  # noqa: ANN401 - JSON, and a driver's value
        try:
            if self._postgresql:
                return to_postgresql(kind, value)
            return to_sqlite(kind, value, declared=column.declared)
        except (ValueError, TypeError, AttributeError) as error:
            raise BadDump from error
        except ValueDoesNotFit as error:
            raise ValueDoesNotFit(
                f"A value of {self._table}.{column.name} does not fit: {error.message} Nothing was changed."
            ) from error


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
