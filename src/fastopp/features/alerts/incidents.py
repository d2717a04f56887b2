"""Incidents and the states of rules: opened, ended, muted, listed and deleted."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.database.session import Database
from fastopp.database.upsert import insert
from fastopp.features.alerts.destinations import destinations_of
from fastopp.features.alerts.models import ALL, MAX_DETAIL, MAX_TEXT, MAX_TITLE, AlertIncident, RuleState
from fastopp.features.alerts.names import SEND, Event

MAX_INCIDENTS: Final = 1000  # those that ended last stay
BATCH: Final = 500  # rows that one transaction deletes


async def keep(session: AsyncSession, states: Mapping[str, RuleState]) -> None:
    """Write the states of rules. Whether they are muted is not changed."""
    if not states:
        return
    names = ("rule", "value", "sample", "detail", "problem", "measured_at", "true_since", "calm_since")
    # In one order, so that two instances do not wait for each other.
    rows = [{name: getattr(states[rule], name) for name in names} for rule in sorted(states)]
    statement = insert(session, RuleState)
    changed = {name: statement.excluded[name] for name in names[1:]}
    connection = await session.connection()
    await connection.execute(statement.on_conflict_do_update(index_elements=["rule"], set_=changed), rows)


async def open_one(
    session: AsyncSession, key: str, rule: str, title: str, text: str, detail: str, hint: str, now: datetime,
    subjects: Sequence[int] = (),
) -> None:  # fmt: skip
    """Open an incident, unless one with this key is open."""
    row = {
        "uid": uuid.uuid4().hex,
        "open_key": key,
        "rule": rule,
        "title": title[:MAX_TITLE],
        "text": text[:MAX_TEXT],
        "detail": detail[:MAX_DETAIL],
        "hint": hint[:MAX_TEXT],
        "subjects": list(subjects),
        "opened_at": now,
        "end_notified": False,
    }
    connection = await session.connection()
    statement = insert(session, AlertIncident).values(**row)
    await connection.execute(statement.on_conflict_do_nothing(index_elements=["open_key"]))


async def end(
    session: AsyncSession, keys: Collection[str], now: datetime, *, known: Collection[str] | None = None
) -> None:
    """End the open incidents with these keys; with `known`, also those of other rules, which were removed."""
    which: Any = col(AlertIncident.open_key).in_(keys)
    if known is not None:
        which = or_(which, col(AlertIncident.rule).not_in(known))
    ended = update(AlertIncident).where(col(AlertIncident.open_key).is_not(None), which)
    await (await session.connection()).execute(ended.values(open_key=None, resolved_at=now))


async def notify(session: AsyncSession, runtime: Runtime, now: datetime) -> None:
    """Queue the messages that are due: each beginning once, and each end whose beginning was one.

    An incident whose rule is muted waits with its beginning; if it ends meanwhile, there is no message.
    """
    muted = select(RuleState.rule).where(col(RuleState.muted_until) > now)
    quiet = {*(await session.exec(muted)).all()}
    incident: Any = AlertIncident
    loud = incident.rule.not_in(quiet) if ALL not in quiet else None
    begun: list[int] = []
    if loud is not None:
        new = update(AlertIncident).where(incident.open_key.is_not(None), incident.notified_at.is_(None), loud)
        begun = await _ids(session, new.values(notified_at=now))
    told_of = (incident.resolved_at.is_not(None), incident.notified_at.is_not(None), incident.end_notified.is_(False))
    ended = await _ids(session, update(AlertIncident).where(*told_of).values(end_notified=True))
    if loud is None:
        ended = []
    elif quiet and ended:
        still = select(incident.id).where(incident.id.in_(ended), loud)
        ended = [*(await session.exec(still)).all()]
    await queue(session, runtime, "opened", begun)
    await queue(session, runtime, "resolved", ended)


async def _ids(session: AsyncSession, change: Any) -> list[int]:  # noqa: ANN401 - an UPDATE
    done = await (await session.connection()).execute(change.returning(AlertIncident.id))
    return sorted(done.scalars())


async def queue(session: AsyncSession, runtime: Runtime, event: Event, ids: Sequence[int | None]) -> int:
    """Queue messages to all destinations, in the caller's transaction. Return how many."""
    many = [
        {"to": destination.id, "event": event} | ({"incident": each} if each is not None else {})
        for each in ids
        for destination in destinations_of(runtime.settings)
    ]
    if many:
        await runtime.tasks.within(session).queue_many(SEND, many)
    return len(many)


async def mute(session: AsyncSession, rule: str, until: datetime | None) -> None:
    """Send no messages of a rule, or with `ALL` none at all, until a time; None: send them again."""
    statement = insert(session, RuleState).values(rule=rule, muted_until=until, sample=0, detail="", problem="")
    changed = {"muted_until": statement.excluded.muted_until}
    connection = await session.connection()
    await connection.execute(statement.on_conflict_do_update(index_elements=["rule"], set_=changed))


async def list_incidents(session: AsyncSession, *, is_open: bool, limit: int) -> Sequence[AlertIncident]:
    """Return incidents, the newest first."""
    wanted = col(AlertIncident.open_key).is_not(None) if is_open else col(AlertIncident.open_key).is_(None)
    order = (col(AlertIncident.opened_at).desc(), col(AlertIncident.id).desc())
    return (await session.exec(select(AlertIncident).where(wanted).order_by(*order).limit(limit))).all()


async def list_states(session: AsyncSession) -> dict[str, RuleState]:
    """Return the newest states of all rules."""
    return {row.rule: row for row in (await session.exec(select(RuleState))).all()}


async def clean_up(database: Database, now: datetime, keep_days: int) -> int:
    """Delete incidents that ended so many days ago, and the oldest beyond MAX_INCIDENTS. Return how many."""
    newest = select(AlertIncident.id).order_by(col(AlertIncident.id).desc()).limit(MAX_INCIDENTS)
    old = or_(
        col(AlertIncident.resolved_at) < now - timedelta(days=keep_days), col(AlertIncident.id).not_in(newest)
    )  # fmt: skip
    batch = select(AlertIncident.id).where(col(AlertIncident.open_key).is_(None), old).limit(BATCH)
    removed = 0
    while True:
        async with database.transaction() as session:
            done = await (await session.connection()).execute(
                delete(AlertIncident).where(col(AlertIncident.id).in_(batch))
            )
        if not done.rowcount:
            return removed
        removed += done.rowcount
