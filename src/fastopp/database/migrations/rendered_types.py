"""Types and values as the source code of a migration."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import enum
import uuid
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.type_api import TypeEngine
from sqlalchemy.types import TypeDecorator
from sqlmodel.sql.sqltypes import UTCDateTime

_MODULES = {dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal}
"""Classes of values whose source needs an import."""


def render_type(type_: TypeEngine[Any], imports: set[str]) -> str:
    """Return a type as plain SQLAlchemy, so that a migration means the same when SQLModel or the project changes.

    A type that differs by database is written for both, whichever one the migration is made on.
    """
    on_sqlite, on_postgresql = (_plain(resolve(type_, each), imports) for each in (SQLITE, DIALECT))
    if on_sqlite == on_postgresql:
        return on_sqlite
    if _needs_postgresql(on_sqlite):
        return on_sqlite  # SQLite cannot create it either way
    return f"{on_sqlite}.with_variant({on_postgresql}, 'postgresql')"


SQLITE: Dialect = sqlite.dialect()
DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # theirs


def render_value(type_: TypeEngine[Any], value: object, imports: set[str]) -> str:
    """Return a value of a column as the database gets it, as source code."""
    if isinstance(value, enum.Enum):
        processor: Any = cast("Any", type_).bind_processor(DIALECT) if isinstance(type_, sa.Enum) else None
        value = processor(value) if processor else value.value
    elif isinstance(type_, TypeDecorator):
        with contextlib.suppress(NotImplementedError):  # a type that changes results only
            value = type_.process_bind_param(value, DIALECT)
    for kind in type(value).__mro__:
        if kind in _MODULES:
            imports.add(f"import {kind.__module__}")
            source = repr(value)
            return source if source.startswith(f"{kind.__module__}.") else f"{kind.__module__}.{source}"
    return repr(value)


def resolve(type_: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    """Return what a model's type is on one database, without variants and decorators."""
    if isinstance(type_, UTCDateTime):
        return sa.DateTime(timezone=True)
    chosen = type_._variant_mapping.get(dialect.name)  # noqa: SLF001 - as Alembic; there is no public way
    if chosen is not None:
        return resolve(chosen, dialect)
    if isinstance(type_, TypeDecorator) and not type(type_).__module__.startswith("sqlalchemy."):
        return resolve(type_.load_dialect_impl(dialect), dialect)
    return type_


def _plain(type_: TypeEngine[Any], imports: set[str]) -> str:
    module = type(type_).__module__
    if isinstance(type_, sa.Enum):
        return _enum(type_)
    if isinstance(type_, postgresql.JSONB):
        imports.add("from sqlalchemy.dialects import postgresql")
        return "postgresql.JSONB()"
    if isinstance(type_, sa.JSON) and not module.startswith("sqlalchemy.dialects.postgresql"):
        return "sa.JSON()"
    if isinstance(type_, sa.ARRAY):
        imports.add("from sqlalchemy.dialects import postgresql")
        dimensions = f", dimensions={type_.dimensions}" if type_.dimensions else ""
        return f"postgresql.ARRAY({render_type(type_.item_type, imports)}{dimensions})"
    if type(type_).__module__.startswith("sqlmodel"):  # AutoString, whose impl it is
        length = getattr(type_, "length", None)
        return f"sa.String(length={length})" if length else "sa.String()"
    if module.startswith("sqlalchemy.dialects."):
        dialect = module.split(".")[2]
        imports.add(f"from sqlalchemy.dialects import {dialect}")
        return f"{dialect}.{type_!r}"
    if module.startswith("sqlalchemy."):
        return f"sa.{type_!r}"
    imports.add(f"import {module}")
    return f"{module}.{type_!r}"


def _enum(type_: sa.Enum) -> str:
    options = [repr(each) for each in type_.enums] + [f"name={type_.name!r}"]
    if type_.schema:
        options.append(f"schema={type_.schema!r}")
    if not type_.native_enum:
        options.append(f"native_enum=False, length={type_.length}")
    if type_.create_constraint:
        options.append("create_constraint=True")
    return f"sa.Enum({', '.join(options)})"


def _needs_postgresql(source: str) -> bool:
    return source.startswith("postgresql.")
