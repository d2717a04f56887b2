"""The view of alerts for people and programs: incidents, rules with their values, destinations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.features.alerts import incidents
from fastopp.features.alerts.chosen import rules_of
from fastopp.features.alerts.destinations import destinations_of
from fastopp.features.alerts.models import ALL, AlertIncident, RuleState
from fastopp.features.alerts.rules import NEW_ERROR, AlertRule

OPEN_SHOWN: Final = 100
PAST_SHOWN: Final = 50


class RuleView(NamedTuple):
    """A rule and its newest state."""

    rule: AlertRule
    state: RuleState | None
    muted_until: datetime | None

    @property
    def value(self) -> str:
        """Its value, for people."""
        if self.rule.id == NEW_ERROR:
            return "each new error"
        if self.state is None or self.state.measured_at is None:
            return "not measured yet"
        return self.state.problem or self.rule.shown(self.state.value)

    @property
    def threshold(self) -> str:
        """Its threshold, for people."""
        return "" if self.rule.id == NEW_ERROR else self.rule.shown(self.rule.threshold)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        state = self.state
        return {
            "id": self.rule.id,
            "title": self.rule.title,
            "what": self.rule.what,
            "threshold": self.rule.threshold,
            "value": state.value if state else None,
            "sample": state.sample if state else 0,
            "detail": state.detail if state else "",
            "problem": state.problem if state else "",
            "measured_at": state.measured_at.isoformat() if state and state.measured_at else None,
            "muted_until": self.muted_until.isoformat() if self.muted_until else None,
        }


class Overview(NamedTuple):
    """Alerts at a moment."""

    enabled: bool
    open: Sequence[AlertIncident]
    past: Sequence[AlertIncident]
    rules: Sequence[RuleView]
    destinations: Sequence[str]
    muted_until: datetime | None
    """For all rules."""

    def is_muted(self, incident: AlertIncident) -> bool:
        """Return whether messages about an incident are not sent at the moment."""
        return bool(self.muted_until) or any(
            view.muted_until and view.rule.id == incident.rule for view in self.rules
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        hidden = {"id", "open_key", "subjects", "end_notified"}
        opened = [
            incident.model_dump(mode="json", exclude=hidden) | {"muted": self.is_muted(incident)}
            for incident in self.open
        ]
        return {
            "enabled": self.enabled,
            "open": opened,
            "past": [incident.model_dump(mode="json", exclude=hidden) for incident in self.past],
            "rules": [view.as_json() for view in self.rules],
            "destinations": list(self.destinations),
            "muted_until": self.muted_until.isoformat() if self.muted_until else None,
        }


async def look(session: AsyncSession, runtime: Runtime) -> Overview:
    """Read the state of alerts, with three queries. Raises BrokenPart."""
    now = runtime.clock.now()
    states = await incidents.list_states(session)

    def muted(name: str) -> datetime | None:
        until = states[name].muted_until if name in states else None
        return until if until and until > now else None

    return Overview(
        runtime.settings.alert_choice.enabled,
        await incidents.list_incidents(session, is_open=True, limit=OPEN_SHOWN),
        await incidents.list_incidents(session, is_open=False, limit=PAST_SHOWN),
        [RuleView(rule, states.get(rule.id), muted(rule.id)) for rule in rules_of(runtime)],
        [destination.label for destination in destinations_of(runtime.settings)],
        muted(ALL),
    )
