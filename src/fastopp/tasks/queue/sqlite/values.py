"""Values on their way into SQLite and back: moments, JSON, booleans."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any

from procrastinate import exceptions

Row = dict[str, Any]

_MOMENTS = frozenset({"scheduled_at", "started_at", "at", "last_heartbeat"})
_JSON = frozenset({"args", "stats"})
_BOOLEANS = frozenset({"abort_requested"})
_DECODED = _MOMENTS | _JSON | _BOOLEANS


class Values:
    """Encodes arguments for SQLite, and decodes rows by the names of their columns.

    Parameters
    ----------
    dumps: makes a JSON text of a task's arguments.
    loads: the reverse.
    """

    def __init__(self, dumps: Callable[..., str] | None = None, loads: Callable[..., Any] | None = None) -> None:
        self.dumps: Callable[[Any], str] = dumps or json.dumps
        self.loads: Callable[[str], Any] = loads or json.loads

    def encode(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of a statement: a moment becomes a text in UTC, a dict or a list one in JSON."""
        return {name: self._encode(value) for name, value in arguments.items()}

    def _encode(self, value: Any) -> Any:  # noqa: ANN401 - any value that sqlite3 takes
        if isinstance(value, dt.datetime):
            return moment(value)
        if isinstance(value, dict | list | tuple):
            return self.dumps(value)
        return value

    def decode(self, row: Row) -> Row:
        """The same row with aware datetimes, Python values for JSON, and booleans. Changes it in place."""
        for name in _DECODED.intersection(row):
            value = row[name]
            if value is None:
                continue
            if name in _MOMENTS:
                row[name] = dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC)
            elif name in _JSON:
                row[name] = self.loads(value)
            else:
                row[name] = bool(value)
        return row


def moment(value: dt.datetime) -> str:
    """The text of a moment that SQLite can compare. Raises ConnectorException for one without a time zone."""
    if value.utcoffset() is None:
        raise exceptions.ConnectorException(f"{value!r} has no time zone, so it is no moment.")
    return value.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
