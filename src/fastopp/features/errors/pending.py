"""Errors that wait in the memory of a process to be stored."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any, Final, NamedTuple

EVENTS: Final = 10  # of a group that wait: the newest


class Event(NamedTuple):
    """An occurrence that is to be kept."""

    at: datetime
    headline: str
    values: dict[str, Any]
    """The columns of `ErrorEvent` but those that depend on its group."""


class Pending:
    """The errors of one group since the last time that they were stored."""

    def __init__(self, fingerprint: str, kind: str, place: str, now: datetime) -> None:
        self.fingerprint, self.type, self.place = fingerprint, kind, place
        self.first_seen = self.last_seen = now
        self.count = self.retries = 0
        self.first: Event | None = None
        self._newest: deque[Event] = deque(maxlen=EVENTS - 1)

    @property
    def described(self) -> int:
        """The number of events."""
        return len(self._newest) + (self.first is not None)

    @property
    def events(self) -> list[Event]:
        """The first event, and the newest."""
        return [self.first, *self._newest] if self.first else []

    @property
    def message(self) -> str:
        """The newest message; empty if no occurrence was described."""
        return self.events[-1].headline if self.events else ""

    def add(self, now: datetime, event: Event | None, *, retry: bool) -> None:
        """Count an occurrence, and keep its event if there is one."""
        self.count += 1
        self.retries += retry
        self.last_seen = now
        if event is not None:
            self._keep(event)

    def joined(self, later: Pending) -> Pending:
        """Add what came later, and return itself."""
        self.count += later.count
        self.retries += later.retries
        self.last_seen = later.last_seen
        for event in later.events:
            self._keep(event)
        return self

    def _keep(self, event: Event) -> None:
        if self.first is None:
            self.first = event
        else:
            self._newest.append(event)
