"""Evaluate the rules: measure, open and end incidents, and queue messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable
from fastopp.features.alerts import incidents, leases, new_errors
from fastopp.features.alerts.chosen import rules_of
from fastopp.features.alerts.models import MAX_DETAIL, MAX_TEXT, RuleState
from fastopp.features.alerts.rules import NEW_ERROR, AlertRule, Measured
from fastopp.features.alerts.site import Site
from fastopp.tasks.failure import describe, mask

log = logging.getLogger(__name__)

INTERVAL: Final = 15.0  # seconds from one evaluation of the site to the next
LIMIT: Final = 10.0  # seconds for all measurements
EACH: Final = 4.0  # seconds for one


async def evaluate(runtime: Runtime) -> bool:
    """Evaluate the rules, unless an instance has done so in the last `INTERVAL` seconds. Return whether it was done.

    Raises DatabaseUnavailable, TablesMissing, BrokenPart.
    """
    clock = runtime.clock
    if not await leases.take(runtime.database, leases.EVALUATION, clock.time(), INTERVAL):
        return False
    now = clock.now()
    rules = rules_of(runtime)
    async with runtime.database.read() as session:
        states = {row.rule: row for row in (await session.exec(select(RuleState))).all()}
    found = await _measure_all(rules, states, runtime, now)
    async with runtime.database.transaction() as session:
        await incidents.keep(session, found)
        for rule in rules:
            if rule.id in found and _begins(rule, found[rule.id], now):
                await _open(session, rule, found[rule.id], now)
        over = [rule.id for rule in rules if rule.id in found and _ends(rule, found[rule.id], now)]
        await incidents.end(session, over, now, known=[rule.id for rule in rules])
        if runtime.settings.errors and any(rule.id == NEW_ERROR for rule in rules):
            await new_errors.look(session, now)
        await incidents.notify(session, runtime, now)
    return True


async def _measure_all(
    rules: Sequence[AlertRule], states: Mapping[str, RuleState], runtime: Runtime, now: datetime
) -> dict[str, RuleState]:
    """Return the new states of the rules that are due, as far as there is time."""
    site, found = Site(runtime, now), {}
    until = runtime.clock.monotonic() + LIMIT
    # The one that was measured longest ago has its turn first, if the time is short.
    order = sorted(rules, key=lambda rule: _measured(states.get(rule.id)))
    for rule in order:
        state = states.get(rule.id)
        if rule.id == NEW_ERROR or (rule.every and now.timestamp() - _measured(state) < rule.every):
            continue
        if runtime.clock.monotonic() > until:
            log.warning("There is no time to measure %s", rule.id, extra={"action": "alert_not_measured"})
            continue
        found[rule.id] = await _measure(rule, state, site)
    return found


def _measured(state: RuleState | None) -> float:
    return state.measured_at.timestamp() if state and state.measured_at else 0.0


async def _measure(rule: AlertRule, before: RuleState | None, site: Site) -> RuleState:
    state = RuleState(rule=rule.id, measured_at=site.now)
    if before is not None:
        state.true_since, state.calm_since = before.true_since, before.calm_since
    try:
        async with asyncio.timeout(EACH):
            measured = await rule.measure(site)
    except DatabaseUnavailable:
        raise
    except Exception as error:  # noqa: BLE001 - the edge: rules of apps; the others are measured
        settings = site.runtime.settings
        state.problem = describe(error, settings).partition("\n")[0][:MAX_TEXT]
        log.warning("%s cannot be measured: %s", rule.id, state.problem, extra={"action": "alert_not_measured"})
        return state
    if isinstance(measured, int | float):
        measured = Measured(float(measured), rule.sample)
    if measured is not None:
        state.value, state.sample = float(measured.value), int(measured.sample)
        state.detail = mask(measured.detail, site.runtime.settings)[:MAX_DETAIL]
    is_true = measured is not None and rule.is_true(measured)
    is_calm = measured is None or rule.is_calm(measured)
    state.true_since = (state.true_since or site.now) if is_true else None
    state.calm_since = (state.calm_since or site.now) if is_calm else None
    return state


def _begins(rule: AlertRule, state: RuleState, now: datetime) -> bool:
    since = state.true_since
    return not state.problem and since is not None and now - since >= timedelta(seconds=rule.lasts)


def _ends(rule: AlertRule, state: RuleState, now: datetime) -> bool:
    since = state.calm_since
    return not state.problem and since is not None and now - since >= timedelta(seconds=rule.calm)


async def _open(session: AsyncSession, rule: AlertRule, state: RuleState, now: datetime) -> None:
    text = f"{rule.what}: {rule.shown(state.value)} (from {rule.shown(rule.threshold)})"
    await incidents.open_one(session, rule.id, rule.id, rule.title, text, state.detail, rule.hint, now)
