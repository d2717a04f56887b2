"""Values of columns on their way into a dump and out of it, alike for both databases.

A value is JSON: null, or by the kind of its column

    bool          true, false
    int           a number of any size
    float         a number that reads back to the very same double; "NaN", "Infinity", "-Infinity"
    numeric       the digits as text: "10.50"
    uuid          "6f1c7a52-…" in lower case, with hyphens
    timestamp(tz) "2026-01-31T23:30:00.000000"; with `tz` it is UTC, and SQLite's are UTC by FastOpp's convention
    date, time    "2026-01-31", "23:30:00.000000"
    timetz        "23:30:00.000000+00:00"; SQLite's are UTC by FastOpp's convention
    interval      PostgreSQL's text in ISO 8601: "P1DT2H3M4S"
    bytes         Base64
    text, json    the text as it is; JSON is not taken apart, so that its numbers and blanks survive
    other         PostgreSQL's text for a PostgreSQL type: an array, an address, a member of an Enum
    any           as below: the column of SQLite has no type that shows what is in it

SQLite stores anything in any column. A value that is not what its column says is an object with its own kind, like
{"text": "many"} in a column of numbers, and goes back to SQLite unchanged. What the target cannot hold unchanged is
refused: see to_postgresql.py and to_sqlite.py.
"""

from __future__ import annotations

import base64
import math
import re
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from fastopp.features.database_backups.dump.intervals import from_moment

# What `format_type` calls PostgreSQL's types. Source: https://www.postgresql.org/docs/current/datatype.html
POSTGRESQL_KINDS = {
    "boolean": "bool", "smallint": "int", "integer": "int", "bigint": "int", "real": "float",
    "double precision": "float", "numeric": "numeric", "text": "text", "character varying": "text", "bpchar": "text",
    "uuid": "uuid", "bytea": "bytes", "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz", "date": "date", "time without time zone": "time",
    "time with time zone": "timetz", "interval": "interval", "json": "json", "jsonb": "json",
}  # fmt: skip

# What SQLAlchemy calls its types in SQLite's CREATE TABLE, and what others use; without a length.
SQLITE_KINDS = {
    "BOOLEAN": "bool", "INTEGER": "int", "INT": "int", "BIGINT": "int", "SMALLINT": "int", "FLOAT": "float",
    "REAL": "float", "DOUBLE": "float", "DOUBLE PRECISION": "float", "DOUBLE_PRECISION": "float",
    "NUMERIC": "numeric", "DECIMAL": "numeric", "VARCHAR": "text", "TEXT": "text", "CHAR": "text", "CLOB": "text",
    "NVARCHAR": "text", "UUID": "uuid", "BLOB": "bytes", "DATETIME": "timestamp", "TIMESTAMP": "timestamp",
    "DATE": "date", "TIME": "time", "JSON": "json",
}  # fmt: skip

# SQLite's own reading of any other name. Source: https://www.sqlite.org/datatype3.html#determination_of_column_affinity
_AFFINITIES = (("INT", "int"), ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"), ("REAL", "float"),
               ("FLOA", "float"), ("DOUB", "float"))  # fmt: skip

INTEGERS = range(-(2**63), 2**63)  # what SQLite's INTEGER holds


def sqlite_kind(declared: str) -> str:
    """The kind of a column that SQLite's CREATE TABLE gave this type, without a length; `any` if it does not say."""
    by_affinity = (kind for part, kind in _AFFINITIES if part in declared)
    return SQLITE_KINDS.get(declared) or next(by_affinity, "any")


def _timestamp(text: str) -> str:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds")


def write_time(text: str) -> str:
    """Return a time with its microseconds."""
    return time.fromisoformat(text).isoformat(timespec="microseconds")


def _float(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _or_as_it_is(convert: Callable[[str], str]) -> Callable[[str], str]:
    """PostgreSQL has times that Python has not: infinity, the year 20000, years before Christ."""

    def try_it(text: str) -> str:
        try:
            return convert(text)
        except (ValueError, OverflowError):
            return text

    return try_it


_FROM_POSTGRESQL: dict[str, Callable[[str], Any]] = {
    "bool": lambda text: text == "true",
    "int": int,
    "float": lambda text: _float(float(text)),
    "bytes": lambda text: base64.b64encode(bytes.fromhex(text.removeprefix("\\x"))).decode(),
    "timestamp": _or_as_it_is(_timestamp),
    "timestamptz": _or_as_it_is(_timestamp),
    "time": _or_as_it_is(write_time),
    "timetz": _or_as_it_is(write_time),
}


def from_postgresql(kind: str) -> Callable[[str], Any] | None:
    """Return the function that parses the text that PostgreSQL writes for a value; None if it is the value."""
    return _FROM_POSTGRESQL.get(kind)


def from_sqlite(kind: str, scale: int | None) -> Callable[[Any], Any]:
    """Return the function that parses SQLite's value; `scale` is the number of decimals of a numeric column."""
    convert = _numeric(scale) if kind == "numeric" else _FROM_SQLITE.get(kind, _reject)

    def read(raw: Any) -> Any:  # noqa: ANN401 - SQLite's value, and JSON
        if raw is None:
            return None
        try:
            return convert(raw)
        except (ValueError, TypeError, ArithmeticError):
            return _with_its_kind(raw)

    return read


def _reject(_raw: object) -> Any:  # noqa: ANN401 - it never returns
    raise TypeError


def _exactly(wanted: type) -> Callable[[Any], Any]:
    def check(raw: Any) -> Any:  # noqa: ANN401 - as `read`
        if type(raw) is not wanted:
            raise TypeError
        return raw

    return check


def _sqlite_bool(raw: Any) -> bool:  # noqa: ANN401 - as `read`
    if type(raw) is int and raw in (0, 1):
        return bool(raw)
    raise ValueError


def _sqlite_float(raw: Any) -> Any:  # noqa: ANN401 - as `read`
    return _float(_exactly(float)(raw))


def _numeric(scale: int | None) -> Callable[[Any], str]:
    def convert(raw: Any) -> str:  # noqa: ANN401 - as `read`
        if type(raw) not in (int, float):
            raise TypeError
        number = Decimal(repr(raw))
        if scale is not None and (rounded := round(number, scale)) == number:
            number = rounded
        return format(number, "f")

    return convert


def _sqlite_bytes(raw: Any) -> str:  # noqa: ANN401 - as `read`
    return base64.b64encode(_exactly(bytes)(raw)).decode()


def write_date(raw: str) -> str:
    """Return a date as ISO 8601 has it."""
    return date.fromisoformat(raw).isoformat()


_FROM_SQLITE: dict[str, Callable[[Any], Any]] = {
    "bool": _sqlite_bool,
    "int": _exactly(int),
    "float": _sqlite_float,
    "text": _exactly(str),
    "json": lambda raw: repr(raw) if type(raw) in (int, float) else _exactly(str)(raw),  # JSON has a number's affinity
    "uuid": lambda raw: str(uuid.UUID(_exactly(str)(raw))),
    "bytes": _sqlite_bytes,
    "timestamp": lambda raw: _timestamp(_exactly(str)(raw)),
    "timestamptz": lambda raw: _timestamp(_exactly(str)(raw)),
    "date": lambda raw: write_date(_exactly(str)(raw)),
    "time": lambda raw: write_time(_exactly(str)(raw)),
    "timetz": lambda raw: write_time(_exactly(str)(raw)) + "+00:00",
    "interval": lambda raw: from_moment(_exactly(str)(raw)),
}


def _with_its_kind(raw: Any) -> dict[str, Any]:  # noqa: ANN401 - as `read`
    if isinstance(raw, bytes):
        return {"bytes": base64.b64encode(raw).decode()}
    if isinstance(raw, float):
        return {"float": _float(raw)}
    return {"int" if isinstance(raw, int) else "text": raw}


_NUMBERS = re.compile(r"\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\)")


def limits(declared: str) -> tuple[int | None, int | None]:
    """The numbers of `NUMERIC(10, 2)` or `VARCHAR(20)`; None for each that is missing."""
    found = _NUMBERS.search(declared)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else (None, None)


def decimals_of(number: str) -> int:
    """Return the number of decimals that a number needs; none for NaN and infinity."""
    value = Decimal(number)
    return len(format(value, "f").partition(".")[2].rstrip("0")) if value.is_finite() else 0
