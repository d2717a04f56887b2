"""Add the queries of an engine to the work that runs them, and notice slow and repeated ones."""

from __future__ import annotations

import inspect
import logging
import re
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, Final

import greenlet  # type: ignore[import-untyped] # SQLAlchemy's, and without types
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.ext.asyncio import AsyncEngine

from fastopp.recording import Statement, Work, current_work

log = logging.getLogger(__name__)

LONGEST: Final = 2000  # characters of a statement that are kept
DEEPEST: Final = 200  # frames that are looked at for the caller

_BEGAN: Final = "fastopp_began"
_BEGIN: Final = "BEGIN"  # of a transaction on SQLite, which is no round trip

# Texts and numbers that were written into the SQL, and lists of parameters, which differ in their length.
_TEXT: Final = re.compile(r"'(?:[^']|'')*(?:'|$)")
_NUMBER: Final = re.compile(r"(?<![\w$:%])\d+(?:\.\d+)?\b")
_LIST: Final = re.compile(r"\((?:\s*(?:\?|%s|%\(\w+\)s|\$\d+|:\w+)(?:::\w+)?\s*,)+(?:[^()]|%\(\w+\)s)*\)")
_SPACE: Final = re.compile(r"\s+")

_FRAMEWORK: Final = str(Path(__file__).parents[1])
_NO_CALLERS: Final = (str(Path(__file__).parent), str(Path(__file__).parents[1] / "recording.py"))


def add_to_work(engine: AsyncEngine, *, slow: float, repeated: int = 0) -> None:
    """Have the queries of an engine added to the current work.

    Parameters
    ----------
    slow: seconds from which a query is logged and kept; 0 for never.
    repeated: how often a statement may run in one piece of work before its line is kept; 0 for any number.
    """
    project = str(Path.cwd())

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def begin(_connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        if context is not None and current_work.get() is not None:
            setattr(context, _BEGAN, perf_counter())

    @event.listens_for(engine.sync_engine, "after_cursor_execute")
    def end(_connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, _many: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        work = current_work.get()
        if work is not None and (began := getattr(context, _BEGAN, None)) is not None:
            add(work, statement, perf_counter() - began)

    @event.listens_for(engine.sync_engine, "handle_error", insert=True)  # the one that is there raises
    def fail(context: ExceptionContext) -> None:
        work = current_work.get()
        if work is not None and (began := getattr(context.execution_context, _BEGAN, None)) is not None:
            error = type(context.original_exception).__name__
            add(work, context.statement or "", perf_counter() - began, error)

    def add(work: Work, statement: str, seconds: float, error: str = "") -> None:
        work.database_seconds += seconds
        if statement.startswith(_BEGIN):
            return
        work.queries += 1
        if work.trace is not None:
            work.trace.query(normalised_again(statement), seconds, error)
        if repeated and work.count_statement(statement) == repeated:
            work.repeated.append((Statement(normalised(statement), caller_of(project)), statement))
        if slow and seconds >= slow:
            found = Statement(normalised(statement), caller_of(project))
            work.keep_slow(found, seconds)
            log.warning(
                "slow query: %.0f ms in %s: %s", seconds * 1000, found.caller or work.name or "a query", found.text,
                extra={"action": "slow_query", "duration_ms": round(seconds * 1000, 1), "caller": found.caller},
            )  # fmt: skip


def normalised(statement: str) -> str:
    """Return SQL without values: the same text for the same query, and nothing that may be a secret."""
    text = _LIST.sub("(…)", _NUMBER.sub("?", _TEXT.sub("?", statement[: 10 * LONGEST])))
    return _SPACE.sub(" ", text).strip()[:LONGEST]


_kept_normalised = lru_cache(maxsize=256)(normalised)


def normalised_again(statement: str) -> str:
    """Return the same for a statement that is likely to have been seen before: most are."""
    return _kept_normalised(statement) if len(statement) <= LONGEST else normalised(statement)


def caller_of(project: str) -> str:
    """Return the line of the project that waits for the query, or else the framework's; empty if there is neither.

    SQLAlchemy runs queries in a greenlet; the caller's frames are in the one that waits for it.
    """
    frame: FrameType | None = inspect.currentframe()
    parent = greenlet.getcurrent().parent
    if parent is not None and parent.gr_frame is not None:
        frame = parent.gr_frame
    framework = ""
    for _ in range(DEEPEST):
        if frame is None:
            break
        file = frame.f_code.co_filename
        if file.startswith(_FRAMEWORK):
            if not framework and not file.startswith(_NO_CALLERS):
                framework = f"fastopp{file[len(_FRAMEWORK) :]}, line {frame.f_lineno}"
        elif file.startswith(project) and "site-packages" not in file and "/." not in file[len(project) :]:
            return f"{file[len(project) + 1 :]}, line {frame.f_lineno}"[:300]
        frame = frame.f_back
    return framework[:300]
