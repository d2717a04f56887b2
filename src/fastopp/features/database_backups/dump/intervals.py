"""Intervals: PostgreSQL has a type for them; SQLAlchemy keeps them on SQLite as a moment counted from 1970."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from decimal import Decimal

# https://docs.sqlalchemy.org/en/20/core/type_basics.html#sqlalchemy.types.Interval
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - SQLAlchemy's has no zone

# PostgreSQL's `intervalstyle` iso_8601, in which each number has its own sign.
_ISO = re.compile(
    r"P(?:(?P<years>-?\d+)Y)?(?:(?P<months>-?\d+)M)?(?:(?P<days>-?\d+)D)?"
    r"(?:T(?:(?P<hours>-?\d+)H)?(?:(?P<minutes>-?\d+)M)?(?:(?P<seconds>-?\d+(?:\.\d+)?)S)?)?"
)


def write_interval(value: timedelta) -> str:
    """Return an interval as PostgreSQL writes it."""
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f"{seconds}.{value.microseconds:06d}".rstrip("0").rstrip(".")
    clock = "".join(
        f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (fraction, "S")) if number not in (0, "0")
    )
    days = f"{value.days}D" if value.days else ""
    return f"P{days}{'T' if clock else ''}{clock}" if days or clock else "PT0S"


def read_interval(text: str) -> timedelta:
    """Return what PostgreSQL has written. Raises ValueError for months, which have no fixed length, and infinity."""
    found = _ISO.fullmatch(text)
    if found is None or found["years"] or found["months"]:
        raise ValueError(text)
    seconds = Decimal(found["seconds"] or 0)
    try:
        return timedelta(
            days=int(found["days"] or 0),
            hours=int(found["hours"] or 0),
            minutes=int(found["minutes"] or 0),
            microseconds=int(seconds * 1_000_000),
        )
    except OverflowError as error:
        raise ValueError(text) from error


def to_moment(text: str) -> datetime:
    """Return an interval as the moment that stands for it on SQLite. Raises ValueError."""
    try:
        return EPOCH + read_interval(text)
    except OverflowError as error:
        raise ValueError(text) from error


def from_moment(text: str) -> str:
    """Return the interval that a moment on SQLite stands for. Raises ValueError."""
    return write_interval(datetime.fromisoformat(text) - EPOCH)
