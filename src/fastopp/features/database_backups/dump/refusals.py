"""Find the value that PostgreSQL refuses among many that were written with one statement."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.elements import TextClause

from fastopp.database.migrations.snapshot import quote

_DATA_EXCEPTION = "22"  # https://www.postgresql.org/docs/current/errcodes-appendix.html
_PROBE = "fastopp_probe"


def refuses_value(error: DBAPIError) -> bool:
    """Return whether PostgreSQL refused a value, rather than a row that breaks a constraint."""
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(_DATA_EXCEPTION)


def find_refused(
    connection: Connection, table: str, columns: Sequence[tuple[str, Sequence[str | None], TextClause]]
) -> tuple[int, int, str] | None:
    """Write each column by itself into a copy of the table that has its types and none of its constraints.

    Parameters
    ----------
    columns: of each, its name, its values, and an INSERT of the array `c0` into the temporary table.

    Returns
    -------
    The number of the column, the number of the row, and PostgreSQL's reason; None when each value is accepted.
    """
    names = ", ".join(quote(name) for name, _, _ in columns)
    connection.execute(
        text(f"CREATE TEMPORARY TABLE {_PROBE} AS SELECT {names} FROM {quote(table)} WITH NO DATA")  # noqa: S608 - names are quoted
    )
    for index, (_, values, insert) in enumerate(columns):
        first, last = 0, len(values)
        reason = _refusal(connection, insert, values)
        if reason is None:
            continue
        while last - first > 1:
            middle = (first + last) // 2
            if (found := _refusal(connection, insert, values[first:middle])) is not None:
                last, reason = middle, found
            else:
                first = middle
        return index, first, _refusal(connection, insert, values[first:last]) or reason
    return None


def probe_insert(column: str, declared: str) -> str:
    """Return the INSERT that `find_refused` takes for a column."""
    cast = declared.replace(":", r"\:")
    return (
        f"INSERT INTO {_PROBE} ({quote(column)}) "  # noqa: S608 - names are quoted
        f"SELECT CAST(c0 AS {cast}) FROM unnest(:c0) AS dumped (c0)"
    )


def _refusal(connection: Connection, insert: TextClause, values: Sequence[str | None]) -> str | None:
    attempt = connection.begin_nested()
    try:
        connection.execute(insert, {"c0": list(values)})
    except DBAPIError as error:
        attempt.rollback()
        return str(error.orig).partition("\n")[0]
    attempt.rollback()
    return None
