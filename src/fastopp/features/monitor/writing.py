"""Write a batch of figures: one statement on PostgreSQL, one transaction on SQLite.

Figures are added to those of other instances. The row of the instance has the number of its last batch, so that a batch
whose outcome was unknown, and which is written again, counts once. Rows come as one JSON value, and in one order, so
that the statement is always the same and no two instances wait for each other.
"""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import text

from fastopp.database.framework_tables import MONITOR_FIGURES, MONITOR_INSTANCES, MONITOR_STATEMENTS
from fastopp.database.session import Database
from fastopp.features.monitor.columns import COUNTERS, KEY, PLACE, VALUES, add_to_kept, added_up
from fastopp.features.monitor.periods import TOTAL, WRITTEN
from fastopp.recording import Batch, Figures

INSTANCE: Final = (
    "id", "flush", "platform", "started_at", "seen_at", "start_seconds", "frozen_seconds", "processor_seconds",
    "memory", "memory_limit", "connections", "connections_limit",
)  # fmt: skip
_FIXED: Final = frozenset({"id", "platform", "started_at"})
_STATEMENT: Final = ("name", "text", "caller")
_ROW: Final = ("since", *KEY, *VALUES)

_TYPES: Final = {
    **dict.fromkeys((*COUNTERS, "since", "started_at", "seen_at", "flush", "memory", "memory_limit"), "bigint"),
    **dict.fromkeys(("connections", "connections_limit"), "integer"),
    **dict.fromkeys((*KEY, *_STATEMENT, "id", "platform"), "text"),
}


async def write(database: Database, batch: Batch, instance: dict[str, Any]) -> None:
    """Add a batch to the kept figures, unless it is there already. Raises DatabaseUnavailable, TablesMissing.

    Parameters
    ----------
    instance: the row of this instance, without the number of the batch.
    """
    given = {
        "instance": json.dumps([[(instance | {"flush": batch.number})[column] for column in INSTANCE]]),
        "figures": json.dumps([_row(since, key, figures) for (since, key), figures in sorted(
            batch.figures.items(), key=lambda item: item[0])]),
        "statements": json.dumps([[name, *each] for name, each in sorted(batch.statements.items())]),
    }  # fmt: skip
    if database.url.backend == "postgresql":
        async with database.autocommit() as connection:
            await connection.execute(text(_ON_POSTGRESQL), given)
        return
    async with database.engine.begin() as connection:
        is_new = await connection.execute(text(_INSTANCE_ON_SQLITE), {"instance": given["instance"]})
        if is_new.first() is not None:
            await connection.execute(text(_FIGURES_ON_SQLITE), {"figures": given["figures"]})
            if batch.statements:
                await connection.execute(text(_STATEMENTS_ON_SQLITE), {"statements": given["statements"]})


def _row(since: int, key: tuple[str, ...], figures: Figures) -> list[Any]:
    values = {name: getattr(figures, name) for name in Figures.__slots__}
    values |= {f"b{index:02}": count for index, count in enumerate(figures.buckets)}
    return [since, *key, *(values[column] for column in VALUES)]


def _of_postgresql(parameter: str, columns: tuple[str, ...]) -> str:
    """Return the rows of a parameter as SQL."""
    cells = (
        f"CAST(item ->> {index} AS {_TYPES.get(column, 'double precision')}) AS {column}"
        for index, column in enumerate(columns)
    )
    given = f"CAST(CAST(:{parameter} AS text) AS jsonb)"
    return f"SELECT {', '.join(cells)} FROM jsonb_array_elements({given}) AS item"  # noqa: S608 - our own names


def _of_sqlite(parameter: str, columns: tuple[str, ...]) -> str:
    """Return the rows of a parameter as SQL."""
    cells = (f"json_extract(value, '$[{index}]') AS {column}" for index, column in enumerate(columns))
    return f"SELECT {', '.join(cells)} FROM json_each(:{parameter})"  # noqa: S608 - our own names


def _instance(rows: str) -> str:
    """Return the statement that notes the number of a batch; it returns a row if the number is new."""
    changed = ", ".join(f"{column} = excluded.{column}" for column in INSTANCE if column not in _FIXED)
    return (
        f"INSERT INTO {MONITOR_INSTANCES} AS known ({', '.join(INSTANCE)}) {rows} WHERE true "
        f"ON CONFLICT (id) DO UPDATE SET {changed} WHERE known.flush < excluded.flush RETURNING id"
    )


def _figures(rows: str, maximum: str) -> str:
    """Return the statement that adds rows to each of their periods."""
    key, values, place = ", ".join(KEY), ", ".join(VALUES), ", ".join(PLACE)
    each = " UNION ALL ".join(f"SELECT {period} AS period" for period in WRITTEN)
    since = f"CASE period WHEN {TOTAL} THEN 0 ELSE since - since % period END"
    all_ = (
        f"SELECT period, {since} AS since, {key}, {added_up()} FROM {rows} CROSS JOIN ({each}) AS periods "  # noqa: S608 - our own names
        f"GROUP BY 1, 2, {key} ORDER BY 1, 2, {key}"
    )
    return f"INSERT INTO {MONITOR_FIGURES} AS kept ({place}, {values}) {all_} {add_to_kept(maximum)}"


def _statements(rows: str) -> str:
    return f"INSERT INTO {MONITOR_STATEMENTS} ({', '.join(_STATEMENT)}) {rows} WHERE true ON CONFLICT (name) DO NOTHING"


_ON_POSTGRESQL: Final = (
    f"WITH instance AS ({_instance(_of_postgresql('instance', INSTANCE))}), "
    f"given AS ({_of_postgresql('figures', _ROW)} WHERE EXISTS (SELECT FROM instance)), "
    f"statements AS ({_statements(_of_postgresql('statements', _STATEMENT))}) "
    f"{_figures('given', 'greatest')}"
)
_INSTANCE_ON_SQLITE: Final = _instance(_of_sqlite("instance", INSTANCE))
_FIGURES_ON_SQLITE: Final = f"WITH given AS ({_of_sqlite('figures', _ROW)}) {_figures('given', 'max')}"
_STATEMENTS_ON_SQLITE: Final = _statements(_of_sqlite("statements", _STATEMENT))
