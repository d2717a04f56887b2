"""Record the SQL of one request, for the error page of developers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

NEWEST = 50  # statements that are kept
LONGEST = 4000  # characters of one

_recorded: ContextVar[deque[str] | None] = ContextVar("fastopp_statements", default=None)


@contextmanager
def recorded_statements() -> Iterator[deque[str]]:
    """Collect the newest statements of this block, without their values."""
    statements: deque[str] = deque(maxlen=NEWEST)
    known = _recorded.set(statements)
    try:
        yield statements
    finally:
        _recorded.reset(known)


def record_statements(engine: AsyncEngine) -> None:
    """Have an engine's statements recorded, while `recorded_statements` collects them."""

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        if (statements := _recorded.get()) is not None:
            statements.append(statement[:LONGEST])
