"""Values of a dump as SQLite is to hold them, in the form that SQLAlchemy writes there."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from fastopp.features.database_backups.dump.errors import ValueDoesNotFit
from fastopp.features.database_backups.dump.intervals import to_moment
from fastopp.features.database_backups.dump.values import INTEGERS, decimals_of, sqlite_kind, write_date, write_time


def to_sqlite(
    kind: str,
    value: Any,  # noqa: ANN401 - JSON
    *,
    declared: str,
    uuid: bool = False,
    decimals: int | None = None,
) -> Any:  # noqa: ANN401 - SQLite's value
    """Return the value for SQLite.

    Parameters
    ----------
    declared: the column's type there, without a length.
    uuid: the column is one of SQLAlchemy's Uuid, which writes no hyphens.
    decimals: how many of a numeric value SQLAlchemy reads.

    Raises
    ------
    ValueDoesNotFit
    """
    if value is None:
        return None
    if isinstance(value, dict):
        ((kind, value),) = value.items()
        return _raw(kind, value)
    if kind == "numeric" and decimals is not None and decimals_of(value) > decimals:
        raise ValueDoesNotFit(f"SQLAlchemy reads {decimals} decimals from SQLite, and this number has more.")
    if kind == "uuid" and uuid:
        return _without_hyphens(value, declared)
    convert = _TO_SQLITE.get(kind)
    try:
        return convert(value, declared) if convert else value
    except (ValueError, InvalidOperation) as error:
        raise ValueDoesNotFit("SQLite, or Python, has no such value.") from error


def check_sign(value: Any, declared: str) -> None:  # noqa: ANN401 - SQLite's value
    """Refuse -0.0 where SQLite would store 0.0.

    Columns of numbers keep a whole number as an integer: https://www.sqlite.org/datatype3.html#storage_classes_and_datatypes
    """
    negative_zero = isinstance(value, float) and not value and math.copysign(1, value) < 0
    if negative_zero and declared and "BLOB" not in declared:
        raise ValueDoesNotFit("SQLite's columns of numbers have no negative zero.")


def _raw(kind: str, value: Any) -> Any:  # noqa: ANN401 - as `to_sqlite`
    if kind == "bytes":
        return base64.b64decode(value)
    return float(value) if kind == "float" else value


def _to_float(value: Any, _declared: str) -> float:  # noqa: ANN401 - as `to_sqlite`
    number = float(value)
    if math.isnan(number):
        raise ValueDoesNotFit("SQLite has no NaN.")
    return number


def _to_int(value: int, _declared: str) -> int:
    if value not in INTEGERS:
        raise ValueDoesNotFit("SQLite's integers have 64 bits.")
    return value


def _to_numeric(value: str, declared: str) -> str | int | float:
    return value if sqlite_kind(declared) == "text" else _number(value)


def _number(value: str) -> int | float:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueDoesNotFit("SQLite has no NaN or infinity among its numerics.")
    if number == number.to_integral_value() and int(number) in INTEGERS:
        return int(number)
    if Decimal(repr(float(number))) != number:
        raise ValueDoesNotFit("SQLite's numbers have some 15 digits, and this one has more.")
    return float(number)


def _to_uuid(value: str, declared: str) -> str:
    # SQLAlchemy's Uuid is CHAR(32) there.
    return _without_hyphens(value, declared) if declared == "CHAR" else value


def _without_hyphens(value: str, declared: str) -> str:
    text = value.replace("-", "")
    if sqlite_kind(declared) == "text":
        return text
    try:
        float(text)
    except ValueError:
        return text
    raise ValueDoesNotFit(f"SQLite would take these digits for a number in a column of type {declared}.")


def _to_json(value: str, declared: str) -> str:
    if sqlite_kind(declared) == "text" or value.lstrip(" \t\r\n")[:1] not in set("-0123456789"):
        return value
    # A column of type JSON has a number's affinity: SQLite makes a number of a text that is one.
    number = json.loads(value, parse_float=Decimal, parse_int=Decimal)
    if number.is_zero() and number.is_signed():
        raise ValueDoesNotFit("SQLite's columns of numbers have no negative zero.")
    stored = _number(str(number))
    if isinstance(stored, float) and value.strip().lstrip("-").isdigit():
        raise ValueDoesNotFit("SQLite's integers have 64 bits.")
    return value


def _to_timestamp(value: str, _declared: str) -> str:
    return datetime.fromisoformat(value).isoformat(" ", timespec="microseconds")


def _to_time(value: str, _declared: str) -> str:
    return write_time(value)


def _to_timetz(value: str, _declared: str) -> str:
    moment = time.fromisoformat(value)
    if moment.utcoffset() not in (None, timedelta()):
        raise ValueDoesNotFit("SQLite's times have no zone, and this one is not in UTC.")
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds")


def _to_interval(value: str, _declared: str) -> str:
    try:
        return to_moment(value).isoformat(" ", timespec="microseconds")
    except ValueError as error:
        raise ValueDoesNotFit(
            "SQLite holds an interval as days and seconds, from -719162 to 2932896 days, without months."
        ) from error


def _to_other(value: str, declared: str) -> str:
    """A type of PostgreSQL's own. Dumps of older versions name intervals and times with a zone so, too."""
    kind = sqlite_kind(declared)
    if kind in ("text", "any"):
        return value
    if kind == "timestamp":
        return _to_interval(value, declared)
    if kind == "time":
        return _to_timetz(value, declared)
    raise ValueDoesNotFit(f"It is of a type that PostgreSQL alone has, and not {declared}.")


_TO_SQLITE: dict[str, Callable[[Any, str], Any]] = {
    "bool": lambda value, _declared: int(value),
    "int": _to_int,
    "float": _to_float,
    "numeric": _to_numeric,
    "uuid": _to_uuid,
    "bytes": lambda value, _declared: base64.b64decode(value),
    "timestamp": _to_timestamp,
    "timestamptz": _to_timestamp,
    "date": lambda value, _declared: write_date(value),
    "time": _to_time,
    "timetz": _to_timetz,
    "interval": _to_interval,
    "json": _to_json,
    "other": _to_other,
}
