"""Whether a column may change its type without a value being changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.type_api import TypeEngine

_INTEGERS: tuple[type[TypeEngine[Any]], ...] = (sa.SmallInteger, sa.Integer, sa.BigInteger)
_DIGITS = {sa.SmallInteger: 5, sa.Integer: 10, sa.BigInteger: 19}

# A type whose values any text without a limit can hold, and that reads back the same.
_WRITABLE = (sa.String, sa.Integer, sa.Numeric, sa.Boolean, sa.Date, sa.DateTime, sa.Time, sa.Uuid, sa.JSON)


def keeps_every_value(old: TypeEngine[Any], new: TypeEngine[Any]) -> bool:
    """Return whether every value of the old type is one of the new type; False when that is not known."""
    if isinstance(new, sa.types.TypeDecorator):
        new = new.impl_instance
    if isinstance(new, sa.Enum):
        return isinstance(old, sa.Enum) and set(old.enums) <= set(new.enums)
    if isinstance(new, sa.String):
        if new.length is None:
            return isinstance(old, _WRITABLE)
        return isinstance(old, sa.String) and old.length is not None and old.length <= new.length
    if (size := _integer(new)) is not None:
        before = -1 if isinstance(old, sa.Boolean) else _integer(old)
        return before is not None and before <= size
    if isinstance(new, sa.Numeric):
        return _fits_numeric(old, new)
    if isinstance(new, sa.DateTime):
        return isinstance(old, (sa.Date, sa.DateTime))
    same = (sa.Boolean, sa.Date, sa.Time, sa.Interval, sa.Uuid, sa.JSON, sa.LargeBinary)
    return any(isinstance(old, kind) and isinstance(new, kind) for kind in same)


def _integer(type_: TypeEngine[Any]) -> int | None:
    # BigInteger and SmallInteger are Integers themselves.
    kinds = [index for index, kind in enumerate(_INTEGERS) if isinstance(type_, kind)]
    return None if not kinds else next((index for index in kinds if index != 1), 1)


def _fits_numeric(old: TypeEngine[Any], new: sa.Numeric[Any]) -> bool:
    if isinstance(new, sa.Float):
        return isinstance(old, sa.SmallInteger) or (
            isinstance(old, sa.Float) and (old.precision or 24) <= (new.precision or 53)
        )
    if new.precision is None:
        return isinstance(old, (sa.Integer, sa.Numeric)) and not isinstance(old, sa.Float)
    scale = new.scale or 0
    if (size := _integer(old)) is not None:
        return _DIGITS[_INTEGERS[size]] <= new.precision - scale  # type: ignore[index] # its keys
    if not isinstance(old, sa.Numeric) or isinstance(old, sa.Float) or old.precision is None:
        return False
    return (old.scale or 0) <= scale and old.precision - (old.scale or 0) <= new.precision - scale
