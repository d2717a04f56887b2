"""Events in the emulator: rules that fired, requests served. Bounded, for the log and for the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from leapcell_emulator.record import Record
from leapcell_emulator.rules import RULES, Rules

KEPT = 200  # events, and requests: what a page can show


def now() -> str:
    """The time, as JSON carries it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A rule that fired, or something that an instance or the emulator has to say (`rule` is empty then)."""

    message: str
    rule: str = ""
    """Its number, `E6`."""
    name: str = ""
    """Its name in `Rules`, `max_request_body`."""
    source: str = ""
    """The page that documents it."""
    evidence: str = ""
    option: str = ""
    """The command-line option that changes it."""
    instance: str = ""
    path: str = ""
    """Method and path of the request that met it."""
    level: str = "info"
    """`info`, `warning` or `error`."""
    time: str = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """A request that was answered, by an instance or by a rule."""

    method: str
    path: str
    status: int
    """The status that the client received; 0 if it disconnected before."""
    seconds: float
    instance: str = ""
    rule: str = ""
    bytes_in: int = 0
    bytes_out: int = 0
    queue: float = 0.0
    """Seconds until an instance took it."""
    cold: bool = False
    """Whether it waited for an instance to start."""
    frozen: float = 0.0
    """Seconds that the instance had had no request before."""
    processor: float | None = None
    """Seconds of processor time; known with `--record` only."""
    time: str = field(default_factory=now)


class Journal:
    """Keeps the last events and requests, and passes each event on as it happens."""

    def __init__(
        self, rules: Rules, listener: Callable[[Event], None] | None = None, record: Record | None = None
    ) -> None:
        self.rules = rules
        self.record = record
        self.events: deque[Event] = deque(maxlen=KEPT)
        self.requests: deque[ServedRequest] = deque(maxlen=KEPT)
        self.fired: dict[str, int] = {}
        """Return the number of times that each rule fired, by its name."""
        self._listener = listener

    def fire(self, name: str, *, level: str = "warning", instance: str = "", path: str = "", **values: object) -> Event:
        """Record that the rule with this name fired; `values` fill its message."""
        rule = RULES[name]
        limit = values.pop("limit", rule.format(getattr(self.rules, name)))
        event = Event(
            message=rule.message.format(limit=limit, path=path, **values),
            rule=rule.id,
            name=name,
            source=rule.source,
            evidence=str(rule.evidence),
            option=rule.option,
            instance=instance,
            path=path,
            level=level,
        )
        self.fired[name] = self.fired.get(name, 0) + 1
        self._add(event)
        return event

    def say(self, message: str, *, level: str = "info", instance: str = "") -> None:
        """Record something that is not a rule's doing."""
        self._add(Event(message=message, level=level, instance=instance))

    def served(
        self, request: ServedRequest, *, seconds: float = 0.0, path: str = "", memory: int | None = None
    ) -> None:
        """Keep an answered request; the record gets its path without the query, and what the page does not show."""
        self.requests.append(request)
        if self.record is not None:
            end = time.time()
            self.record.write(
                "request",
                start=end - seconds,
                end=end,
                queue=request.queue,
                cold=request.cold,
                frozen=request.frozen,
                processor=request.processor,
                memory=memory,
                method=request.method,
                path=path[:500],
                status=request.status,
                bytes_in=request.bytes_in,
                bytes_out=request.bytes_out,
                instance=request.instance,
                rule=request.rule,
            )

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if self._listener is not None:
            self._listener(event)

    def state(self) -> dict[str, Any]:
        """Events and requests, oldest first, and how often each rule fired."""
        return {
            "events": [asdict(event) for event in self.events],
            "requests": [asdict(request) for request in self.requests],
            "fired": dict(self.fired),
        }
