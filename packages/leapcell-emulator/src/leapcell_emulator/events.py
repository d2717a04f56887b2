"""Events in the emulator: rules that fired, requests served. Bounded, for the log and for the page."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from time import time
from typing import Any

from leapcell_emulator.record import Record
from leapcell_emulator.rules import RULES, Rules

KEPT = 200  # events, and requests: what a page can show
KEPT_LINES = 200  # of an instance's log for each request


def now() -> str:
    """The time, as JSON carries it."""
    return as_iso(time())


def as_iso(unix: float) -> str:
    """Return a Unix time as JSON carries it."""
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")


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


@dataclass(slots=True, kw_only=True)
class ServedRequest:
    """A request that was answered, by an instance or by a rule."""

    method: str
    path: str
    status: int
    """The status that the client received; 0 if it disconnected before."""
    seconds: float
    instance: str = ""
    rule: str = ""
    """The number of the rule that refused it or cut it off."""
    rules: list[str] = field(default_factory=list)
    """The numbers of all rules that fired in it, or in its instance's log since."""
    bytes_in: int = 0
    bytes_out: int = 0
    number: int = 0
    """Its number among all, by which the page asks for more."""
    at: float = field(default_factory=time)
    """Unix time of its end."""

    def as_json(self) -> dict[str, Any]:
        """Return it for the page, with its `time` as text."""
        values = asdict(self)
        return {**values, "time": as_iso(values.pop("at"))}


@dataclass(slots=True)
class Collected:
    """The rules that fired and the lines that were logged for a request."""

    rules: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


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
        self.serious: set[str] = set()
        """The names of those that fired as more than an information."""
        self._listener = listener
        self._once: set[tuple[str, ...]] = set()
        self._open: dict[str, list[Collected]] = {}
        self._latest: dict[str, Collected] = {}

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
        if level != "info":
            self.serious.add(name)
            for collected in self._concerned(instance):
                if rule.id not in collected.rules:
                    collected.rules.append(rule.id)
        self._add(event)
        return event

    def fire_once(self, name: str, *place: str, level: str = "warning", **values: str) -> None:
        """As `fire`, but only the first time that the rule fires at this place."""
        if (name, *place) not in self._once:
            self._once.add((name, *place))
            self.fire(name, level=level, **values)

    def say_once(self, message: str, *, instance: str) -> None:
        """As `say`, but a warning, and each message once."""
        if ("", message) not in self._once:
            self._once.add(("", message))
            self.say(message, level="warning", instance=instance)

    def begin(self, instance: str, collected: Collected) -> None:
        """Collect the rules that fire in an instance, and its log, while it has a request and until its next one."""
        self._open.setdefault(instance, []).append(collected)
        self._latest[instance] = collected

    def end(self, instance: str, collected: Collected) -> None:
        """End a request that began."""
        # By identity: two that collected nothing yet are equal.
        self._open[instance] = [each for each in self._open[instance] if each is not collected]

    def note_line(self, instance: str, line: str) -> None:
        """Keep a line of an instance's log with its requests."""
        for collected in self._concerned(instance):
            if len(collected.lines) < KEPT_LINES:
                collected.lines.append(line)

    def _concerned(self, instance: str) -> list[Collected]:
        """The requests in flight in an instance, or its last one: a line of a log may come after the answer."""
        return self._open.get(instance) or [each for each in [self._latest.get(instance)] if each is not None]

    def say(self, message: str, *, level: str = "info", instance: str = "") -> None:
        """Record something that is not a rule's doing."""
        self._add(Event(message=message, level=level, instance=instance))

    def served(self, request: ServedRequest, measured: dict[str, Any]) -> None:
        """Keep an answered request; the record gets `measured`, its line there."""
        self.requests.append(request)
        if self.record is not None:
            self.record.write("request", **measured)

    def _add(self, event: Event) -> None:
        self.events.append(event)
        if self._listener is not None:
            self._listener(event)

    def state(self) -> dict[str, Any]:
        """Events and requests, oldest first, and how often each rule fired."""
        return {
            "events": [asdict(event) for event in self.events],
            "requests": [request.as_json() for request in self.requests],
            "fired": dict(self.fired),
        }
