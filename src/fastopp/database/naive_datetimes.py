"""Refuse a `datetime` without a zone in the line that assigns it.

SQLModel refuses it too, but only when the row is written: long after, without the field or the line.
"""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

from sqlalchemy import event
from sqlmodel.main import default_registry
from sqlmodel.sql.sqltypes import UTCDateTime

from fastopp.errors import FastOppError

LIBRARIES = tuple({*map(sysconfig.get_path, ("stdlib", "purelib", "platlib")), str(Path(__file__).parents[1])})


class NaiveDatetime(FastOppError):
    """A datetime without a time zone cannot be stored: it could be any moment."""

    hint = "Use `datetime.now(UTC)` for `datetime.utcnow()`, or `.replace(tzinfo=UTC)` for a time that is in UTC."

    def __init__(self, field: str, line: str) -> None:
        self.line = line
        super().__init__(f"{field} got a datetime without a time zone.")

    def __str__(self) -> str:
        # For logs and the command line: visitors do not see files.
        return f"{self.message} {self.line}: {self.hint}"


def refuse_naive_datetimes() -> None:
    """Watch the models that are loaded, each column once."""
    for mapper in default_registry.mappers:
        for name, column in mapper.columns.items():
            if isinstance(column.type, UTCDateTime):
                attribute = getattr(mapper.class_, name)
                refuse = _refusing(f"{mapper.class_.__name__}.{name}")
                if not event.contains(attribute, "set", refuse):
                    event.listen(attribute, "set", refuse, propagate=True)


@cache  # the same function for the same field, so that SQLAlchemy knows it again
def _refusing(field: str) -> Callable[[object, object, object, object], None]:
    def refuse(_row: object, value: object, _old: object, _initiator: object) -> None:
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise NaiveDatetime(field, _callers_line())

    return refuse


def _callers_line() -> str:
    """Return the innermost line that is neither a library's nor FastOpp's."""
    for frame, line in traceback.walk_stack(None):
        name = frame.f_code.co_filename
        if not name.startswith(("<", *LIBRARIES)):
            return f"{name}, line {line}"
    return "A library"
