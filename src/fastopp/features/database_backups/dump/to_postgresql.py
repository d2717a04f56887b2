"""Values of a dump as texts that PostgreSQL reads; values that it would change silently are refused.

What PostgreSQL refuses by itself, like a word in a column of numbers, is found in refusals.py.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from decimal import Decimal
from typing import Any

from fastopp.features.database_backups.dump.errors import ValueDoesNotFit
from fastopp.features.database_backups.dump.intervals import from_moment, to_moment
from fastopp.features.database_backups.dump.schema import Column
from fastopp.features.database_backups.dump.values import POSTGRESQL_KINDS, decimals_of, limits

_BITS = {"smallint": 16, "integer": 32, "bigint": 64}
_NUMBERS = frozenset({"int", "float", "numeric"})
_MOMENTS = frozenset({"timestamp", "timestamptz", "time", "timetz", "interval"})
_FRACTION = re.compile(r"\.(\d+)")
_TEXTS = frozenset({"character varying", "bpchar", "text"})


def to_postgresql(kind: str, value: Any, column: Column | None = None) -> str | None:  # noqa: ANN401 - JSON
    """The text that PostgreSQL reads as the value. Raises ValueDoesNotFit."""
    if value is None:
        return None
    wanted = POSTGRESQL_KINDS.get(column.declared, "other") if column else kind
    if isinstance(value, dict):
        ((kind, value),) = value.items()
        _check_kind(kind, wanted, column)
    if kind == "bytes":
        return "\\x" + base64.b64decode(value).hex()
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else repr(value)
    if "\0" in text:
        raise ValueDoesNotFit("PostgreSQL has no texts with the character U+0000.")
    return _for_column(kind, text, column, wanted) if column else text


def _check_kind(kind: str, wanted: str, column: Column | None) -> None:
    """Refuse what SQLite holds in a column of another type, where PostgreSQL would make something else of it."""
    same = kind == wanted or (kind in _NUMBERS and wanted in _NUMBERS)
    if not same and (kind == "bytes" or wanted not in ("text", "other")):
        raise ValueDoesNotFit(
            f"SQLite holds a value of another type there: {kind} for {column.declared if column else wanted}."
        )


def _for_column(kind: str, text: str, column: Column, wanted: str) -> str:
    try:
        if kind in ("timestamp", "timestamptz") and wanted == "interval":
            text = from_moment(text)  # a table that no model describes, or an older dump
        elif kind == "interval" and wanted == "timestamp":
            text = to_moment(text).isoformat(" ", timespec="microseconds")  # SQLAlchemy's Interval(native=False)
    except ValueError:
        raise ValueDoesNotFit(f"PostgreSQL's {column.declared} has no such value.") from None
    if kind == "uuid" and column.declared == "bpchar":
        text = text.replace("-", "")  # SQLAlchemy's Uuid(native_uuid=False)
    check = _CHECKS.get(wanted)
    if check and (kind in _NUMBERS or wanted not in _NUMBERS):
        check(text, column)
    return text


def _check_text(text: str, column: Column) -> None:
    if column.declared not in _TEXTS:
        return
    length, _ = limits(column.full)
    if length is not None and len(text) > length:
        raise ValueDoesNotFit(f"It is too long: {len(text)} characters for {column.full}.")
    if column.declared == "bpchar" and text.endswith(" "):
        raise ValueDoesNotFit(f"It ends in a blank, which {column.full} does not keep.")


def _check_integer(text: str, column: Column) -> None:
    bits = _BITS.get(column.declared, 64)
    if text.lstrip("-").isdigit() and not -(2 ** (bits - 1)) <= int(text) < 2 ** (bits - 1):
        raise ValueDoesNotFit(f"{column.declared} has {bits} bits, and this number more.")


def _check_numeric(text: str, column: Column) -> None:
    precision, scale = limits(column.full)
    number = Decimal(text)
    if precision is None or number.is_nan():
        return
    scale = scale or 0
    if number.is_infinite() or number.copy_abs() >= Decimal(10) ** (precision - scale):
        raise ValueDoesNotFit(f"{column.full} has no number that large.")
    if decimals_of(text) > scale:
        raise ValueDoesNotFit(f"It has more decimals than {column.full} keeps.")


def _check_float(text: str, column: Column) -> None:
    number = float(text)
    if column.declared != "real" or not math.isfinite(number):
        return
    single = _single(number)
    if single is None:
        raise ValueDoesNotFit("real has no number that large.")
    # As PostgreSQL writes it: with as few digits as distinguish it from its neighbours.
    shortest = next(digits for digits in (float(f"{single:.{n}g}") for n in range(1, 10)) if _single(digits) == single)
    if number != shortest:
        raise ValueDoesNotFit("It has more digits than real keeps.")


def _single(number: float) -> float | None:
    try:
        (single,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return None
    return float(single)


def _check_moment(text: str, column: Column) -> None:
    digits, _ = limits(column.full)
    fraction = _FRACTION.search(text)
    if digits is not None and fraction and len(fraction[1].rstrip("0")) > digits:
        raise ValueDoesNotFit(f"{column.full} keeps {digits} decimals of a second.")


def _check_json(text: str, column: Column) -> None:
    if column.declared != "jsonb" or "-0" not in text:
        return

    def look(number: str) -> float:
        if number.startswith("-") and Decimal(number).is_zero():
            raise ValueDoesNotFit("jsonb has no negative zero.")
        return 0.0

    try:
        json.loads(text, parse_float=look, parse_int=look)
    except (ValueError, RecursionError):
        return  # PostgreSQL refuses it


_CHECKS = {
    "text": _check_text, "int": _check_integer, "numeric": _check_numeric, "float": _check_float,
    "json": _check_json, **dict.fromkeys(_MOMENTS, _check_moment),
}  # fmt: skip
