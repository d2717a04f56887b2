"""The files that the rows of the loaded models name.

A column that holds addresses of uploaded files says so, and under which prefix they lie:

    photo_url: str | None = Field(default=None, sa_column_kwargs=uploads_under("photos/"))

Such a row takes its file along: when the row is deleted through the session, or its column is cleared or changed, the
file goes once that is committed. That no row names a file is no reason to delete it: an app that is not loaded may.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, inspect, or_, select
from sqlmodel import SQLModel

from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage

UPLOADS_UNDER = "fastopp_uploads_under"
"""The key in a column's `info`."""

_AT_ONCE = 50  # keys that one query looks for
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")  # written in an address as it is: RFC 3986, 2.3


def uploads_under(prefix: str) -> dict[str, Any]:
    """Return the `sa_column_kwargs` of a column with URLs of uploaded files: `uploads_under("photos/")`."""
    return {"info": {UPLOADS_UNDER: prefix}}


def named_keys(connection: Connection, storage: Storage, keys: Collection[str]) -> set[str]:
    """Those of the keys that a row of a loaded model names."""
    wanted, named = set(keys), set[str]()
    remaining, columns = iter(sorted(wanted)), _columns(connection)
    while some := list(islice(remaining, _AT_ONCE)):
        parts = {_plain_part(key) for key in some}
        for column in columns:
            found = connection.execute(select(column).where(or_(*(column.contains(p, autoescape=True) for p in parts))))
            named.update(key for (url,) in found if (key := key_at(storage, url)))
    return named & wanted


def all_named_keys(connection: Connection, storage: Storage) -> set[str]:
    """Every key that a row of a loaded model names."""
    named = set[str]()
    for column in _columns(connection):
        found = connection.execute(select(column).where(column.is_not(None)))
        named.update(key for (url,) in found if (key := key_at(storage, url)))
    return named


def _columns(connection: Connection) -> Sequence[Column[Any]]:
    """The columns that hold addresses; a table that is not in this database names nothing."""
    tables = SQLModel.metadata.tables.values()
    columns = [column for table in tables for column in table.columns if UPLOADS_UNDER in column.info]
    there = {schema: inspect(connection).get_table_names(schema) for schema in {c.table.schema for c in columns}}
    return [column for column in columns if column.table.name in there[column.table.schema]]


def _plain_part(key: str) -> str:
    """The longest part of a key that every address of it holds unquoted; empty if there is none."""
    return max(_UNRESERVED.findall(key), key=len, default="")
