"""The database's clock in SQL: the clock of a process that was frozen is unreliable."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel.sql.sqltypes import UTCDateTime


class from_now(FunctionElement[Any]):  # noqa: N801 - it reads as the SQL function that it is
    """The moment this many seconds from now; in the past if negative."""

    type = UTCDateTime()
    inherit_cache = False  # the number is part of the text

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = float(seconds)
        super().__init__()


@compiles(from_now, "postgresql")
def _on_postgresql(element: from_now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's options
    return f"(statement_timestamp() + interval '{element.seconds:f} seconds')"


@compiles(from_now, "sqlite")
def _on_sqlite(element: from_now, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401 - SQLAlchemy's options
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{element.seconds:+f} seconds')"
