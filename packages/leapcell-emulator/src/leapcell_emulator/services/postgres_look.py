"""A look into the database: its tables, and the first rows of one. It reads only, as the project's own user."""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from psycopg import sql

from leapcell_emulator.errors import BadRequest, NotFound
from leapcell_emulator.rule import format_size
from leapcell_emulator.services.look import LONGEST, ROWS, Table, shorten

_TABLES: Final = 200
_COUNTED: Final = 10_000
_COUNTING: Final = 3.0  # seconds for the rows of all tables
_COLUMNS: Final = 60

_LIST: Final = sql.SQL("""
    select n.nspname, c.relname, pg_catalog.pg_total_relation_size(c.oid)
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'm', 'v') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by 1, 2 limit {}
""").format(sql.Literal(_TABLES + 1))


async def look(connection: psycopg.AsyncConnection[Any], table: str, after: int) -> Table:
    """Return the tables, or rows of one. Raises `NotFound`, `BadRequest`."""
    async with connection:
        try:
            await connection.execute("set default_transaction_read_only = on")
            await connection.execute("set statement_timeout = '2s'")
            names = [(schema, name) for schema, name, _ in await _fetch(connection, _LIST)]
            if not table:
                return await _tables(connection)
            schema, _, name = table.partition(".")
            if (schema, name) not in names:
                raise NotFound(f"There is no table {table}.")
            return await _rows(connection, schema, name, after)
        except psycopg.Error as error:
            raise BadRequest(f"The database does not show it: {str(error).partition(chr(10))[0]}.") from error


async def _tables(connection: psycopg.AsyncConnection[Any]) -> Table:
    found = await _fetch(connection, _LIST)
    until = time.monotonic() + _COUNTING
    table = Table(columns=["Table", "Rows", "Size"], more=len(found) > _TABLES)
    for schema, name, size in found[:_TABLES]:
        if time.monotonic() > until:
            table.rows.append([f"{schema}.{name}", "not counted", format_size(size)])
            table.opens.append(f"{schema}.{name}")
            continue
        counting = sql.SQL("select count(*) from (select 1 from {} limit {}) counted").format(
            sql.Identifier(schema, name), sql.Literal(_COUNTED + 1)
        )
        try:
            count = (await _fetch(connection, counting))[0][0]
            rows = f"more than {_COUNTED}" if count > _COUNTED else str(count)
        except psycopg.Error:  # a view that fails or takes long
            rows = "unknown"
        table.rows.append([f"{schema}.{name}", rows, format_size(size)])
        table.opens.append(f"{schema}.{name}")
    return table


async def _rows(connection: psycopg.AsyncConnection[Any], schema: str, name: str, after: int) -> Table:
    columns = [
        row[0]
        for row in await _fetch(
            connection,
            sql.SQL("select attname from pg_catalog.pg_attribute where attrelid = {}::regclass and attnum > 0 "
                    "and not attisdropped order by attnum limit {}").format(
                sql.Literal(sql.Identifier(schema, name).as_string(connection)), sql.Literal(_COLUMNS)
            ),
        )
    ]  # fmt: skip
    shown = sql.SQL(", ").join(
        sql.SQL("left({}::text, {})").format(sql.Identifier(column), sql.Literal(LONGEST + 1)) for column in columns
    )
    query = sql.SQL("select {} from {} limit {} offset {}").format(
        shown, sql.Identifier(schema, name), sql.Literal(ROWS + 1), sql.Literal(after)
    )
    found = await _fetch(connection, query) if columns else []
    rows = [["NULL" if value is None else shorten(value) for value in row] for row in found[:ROWS]]
    return Table(columns=columns, rows=rows, more=len(found) > ROWS)


async def _fetch(connection: psycopg.AsyncConnection[Any], query: sql.Composed) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query)).fetchall()
