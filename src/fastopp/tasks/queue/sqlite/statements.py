"""Operations on the database, apart from how they get there.

An operation is a generator: it yields statements, is sent their rows, and returns the rows of its answer. So the same
operation runs on `sqlite3`, on `aiosqlite`, or on a connection inside a caller's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .values import Row, Values

if TYPE_CHECKING:
    import aiosqlite

Statement = tuple[str, Mapping[str, Any]]
"""SQL and its named parameters, which are encoded before they are bound."""

Operation = Generator[Statement, list[Row], list[Row]]


def run(operation: Operation, connection: sqlite3.Connection, values: Values) -> list[Row]:
    """Run an operation on a connection of `sqlite3`, in its current transaction."""
    step = _Steps(operation)
    while (statement := step.statement) is not None:
        cursor = connection.cursor()
        cursor.row_factory = None  # the connection may be the caller's, with its own factory
        try:
            sql, parameters = statement
            # To the last row: a statement that has rows left holds its lock.
            rows = cursor.execute(sql, values.encode(parameters)).fetchall()
        except sqlite3.Error as error:
            step.throw(error)
        else:
            step.send(_dicts(cursor.description, rows, values))
    return step.result


async def run_async(operation: Operation, connection: aiosqlite.Connection, values: Values) -> list[Row]:
    """Run an operation on a connection of `aiosqlite`, in its current transaction."""
    step = _Steps(operation)
    while (statement := step.statement) is not None:
        sql, parameters = statement
        async with connection.cursor() as cursor:
            cursor.row_factory = None
            try:
                await cursor.execute(sql, values.encode(parameters))
                rows = list(await cursor.fetchall())
            except sqlite3.Error as error:
                step.throw(error)
            else:
                step.send(_dicts(cursor.description, rows, values))
    return step.result


class _Steps:
    """An operation under way: its next statement, or its result."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self.statement: Statement | None = None
        self.result: list[Row] = []
        self._advance(operation.send, None)

    def send(self, rows: list[Row]) -> None:
        """Give the statement's rows."""
        self._advance(self._operation.send, rows)

    def throw(self, error: sqlite3.Error) -> None:
        """Give the statement's error, which is raised again if the operation does not expect it."""
        self._advance(self._operation.throw, error)

    def _advance(self, resume: Any, value: Any) -> None:  # noqa: ANN401 - `send` and `throw` share no type
        try:
            self.statement = resume(value)
        except StopIteration as stop:
            self.statement, self.result = None, stop.value


def _dicts(description: Sequence[Sequence[Any]] | None, rows: Sequence[Any], values: Values) -> list[Row]:
    if not rows:
        return []
    names = [column[0] for column in description or ()]
    return [values.decode(dict(zip(names, row, strict=True))) for row in rows]
