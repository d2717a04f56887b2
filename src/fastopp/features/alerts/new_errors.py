"""Incidents about new errors: one for those that one evaluation finds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.alerts import incidents
from fastopp.features.alerts.models import AlertIncident
from fastopp.features.alerts.rules import NEW_ERROR, NEWS
from fastopp.features.errors.groups import claim_news
from fastopp.features.errors.models import ErrorGroup

QUIET: Final = timedelta(hours=1)  # after which an incident is over, if none of its errors has occurred
OURS: Final = "fastopp.features.alerts."  # errors of messages that cannot be delivered


async def look(session: AsyncSession, now: datetime) -> None:
    """Open an incident for new errors, and end those whose errors were dealt with or are quiet."""
    await _end_quiet(session, now)
    # What is claimed here is news again if the transaction is rolled back.
    new = [group for group in await claim_news(session, now) if not group.type.startswith(OURS)]
    if not new:
        return
    first = new[0]
    regressed = any(group.regressed_at for group in new)
    title = f"{len(new):,} new errors" if len(new) > 1 else f"{_kind(first)}: {first.type}"
    ids = [group.id for group in new if group.id is not None]
    text = first.message or first.type if len(new) == 1 else ("Some occur again" if regressed else NEWS.what)
    lines = [f"{group.id}: {group.type}{f' ({group.place})' if group.place else ''}" for group in new]
    await incidents.open_one(
        session, f"{NEW_ERROR}:{ids[0]}:{int(now.timestamp())}", NEW_ERROR, title, text, "\n".join(lines), NEWS.hint,
        now, ids,
    )  # fmt: skip


def _kind(group: ErrorGroup) -> str:
    return "An error occurs again" if group.regressed_at else "New error"


async def _end_quiet(session: AsyncSession, now: datetime) -> None:
    about: Any = select(AlertIncident.open_key, AlertIncident.subjects).where(
        col(AlertIncident.open_key).is_not(None), AlertIncident.rule == NEW_ERROR
    )
    rows: Sequence[Any] = (await session.exec(about)).all()
    if not rows:
        return
    ids = {each for row in rows for each in row.subjects}
    loud = select(ErrorGroup.id).where(
        col(ErrorGroup.id).in_(ids), ErrorGroup.state == "open", col(ErrorGroup.last_seen) > now - QUIET
    )
    alive = set((await session.exec(loud)).all())
    if over := [row.open_key for row in rows if alive.isdisjoint(row.subjects)]:
        await incidents.end(session, over, now)
