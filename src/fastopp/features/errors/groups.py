"""Errors as operators see them: listed, found, resolved, ignored, and deleted when they are old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, or_, tuple_
from sqlalchemy.orm import defer
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.database.session import Database
from fastopp.errors import Conflict, NotFound
from fastopp.features.errors.models import STATES, ErrorEvent, ErrorGroup, State
from fastopp.features.errors.storing import trim

BATCH: Final = 500  # rows that one transaction deletes: others wait for it on SQLite
MAX_QUERY: Final = 200  # characters


class ErrorMissing(NotFound):
    """There is no such error. Old errors are deleted."""


class ReleaseUnknown(Conflict):
    """The release of this error is unknown, so it cannot be resolved by the next one."""

    hint = "Set RELEASE, like the commit that is deployed."


async def list_groups(
    session: AsyncSession,
    *,
    state: State | None = None,
    search: str = "",
    before: tuple[datetime, int] | None = None,
    limit: int,
) -> Sequence[ErrorGroup]:
    """Return groups, the last seen first.

    Parameters
    ----------
    search: a request's id; or a part of the type, the message or the place.
    before: `last_seen` and id of the last one of the page before.
    """
    wanted = select(ErrorGroup).order_by(col(ErrorGroup.last_seen).desc(), col(ErrorGroup.id).desc()).limit(limit)
    if state:
        wanted = wanted.where(ErrorGroup.state == state)
    if search:
        # At most MAX_GROUPS rows are looked through.
        of_request = select(ErrorEvent.group_id).where(ErrorEvent.request_id == search)
        texts = (ErrorGroup.type, ErrorGroup.message, ErrorGroup.place)
        found = (col(text).icontains(search, autoescape=True) for text in texts)
        wanted = wanted.where(or_(col(ErrorGroup.id).in_(of_request), *found))
    if before:
        wanted = wanted.where(tuple_(col(ErrorGroup.last_seen), col(ErrorGroup.id)) < before)
    return (await session.exec(wanted)).all()


async def count_groups(session: AsyncSession) -> dict[State, int]:
    """Return how many there are in each state."""
    counted = await session.exec(select(ErrorGroup.state, func.count()).group_by(ErrorGroup.state))
    found = dict(counted.all())
    return {state: found.get(state, 0) for state in STATES}


async def get_group(session: AsyncSession, group_id: int) -> ErrorGroup:
    """Return a group. Raises ErrorMissing."""
    found = await session.get(ErrorGroup, group_id)
    if found is None:
        raise ErrorMissing
    return found


async def list_events(session: AsyncSession, group_id: int) -> Sequence[ErrorEvent]:
    """Return the events of a group, the newest first, without their tracebacks."""
    long = (defer(ErrorEvent.traceback, raiseload=True), defer(ErrorEvent.context, raiseload=True))  # type: ignore[arg-type]
    wanted = select(ErrorEvent).options(*long).where(ErrorEvent.group_id == group_id)
    return (await session.exec(wanted.order_by(col(ErrorEvent.number).desc()))).all()


async def get_event(
    session: AsyncSession, group_id: int, number: int | None = None, request_id: str = ""
) -> ErrorEvent | None:
    """Return an event of a group: by its number, else that of a request, else the newest; None if it is not kept."""
    wanted = select(ErrorEvent).where(ErrorEvent.group_id == group_id).order_by(col(ErrorEvent.number).desc()).limit(1)
    if number is not None:
        wanted = wanted.where(ErrorEvent.number == number)
    elif request_id:
        wanted = wanted.where(ErrorEvent.request_id == request_id)
    return (await session.exec(wanted)).first()


async def change_state(
    session: AsyncSession, group_id: int, state: State, *, now: datetime, release: str, by_next: bool = False
) -> ErrorGroup:
    """Resolve, ignore or reopen a group. Raises ErrorMissing, ReleaseUnknown.

    Parameters
    ----------
    release: the one that runs. A resolved error that occurs there is open again, and in any other release but the
        one that it occurred in last: an old instance may still run that.
    by_next: it is resolved by the release after this one. Until that is deployed, it may occur here.
    """
    group = await session.get(ErrorGroup, group_id, with_for_update=True)
    if group is None:
        raise ErrorMissing
    seen_in = release or group.release if by_next else group.release
    if by_next and not seen_in:
        raise ReleaseUnknown
    group.state = state
    group.regressed_at = None
    resolved = state == "resolved"
    group.resolved_at = now if resolved else None
    group.resolved_release = release if resolved and not by_next else None
    group.resolved_from = seen_in if resolved else ""
    session.add(group)
    await session.flush()
    return group


async def claim_news(session: AsyncSession, now: datetime, *, limit: int = 20) -> Sequence[ErrorGroup]:
    """Return open groups that are new or open again since the last call, each to one caller; for alerts.

    They are claimed by the transaction of the session: if that is rolled back, they are news again. A group is one
    that has regressed if `regressed_at` is set.
    """
    wanted = (
        select(ErrorGroup)
        .where(col(ErrorGroup.alerted_at).is_(None), ErrorGroup.state == "open")
        .order_by(col(ErrorGroup.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = (await session.exec(wanted)).all()
    ids = [group.id for group in found]
    claim: Any = update(ErrorGroup).where(col(ErrorGroup.id).in_(ids), col(ErrorGroup.alerted_at).is_(None))
    # SQLite locks no rows: of two callers that have read the same, this statement lets one have them.
    done = await session.exec(claim.values(alerted_at=now).returning(col(ErrorGroup.id)))
    claimed = set(done.scalars())
    return [group for group in found if group.id in claimed]


async def clean_up(database: Database, clock: Clock, keep_days: int) -> int:
    """Delete errors that were not seen for so many days (0: none), and what is beyond the most that is kept."""
    removed = 0
    while keep_days:
        async with database.transaction() as session:
            batch = await _remove_old(session, clock.now() - timedelta(days=keep_days))
        removed += batch
        if not batch:
            break
    return removed + await trim(database)


async def _remove_old(session: AsyncSession, until: datetime) -> int:
    removed = 0
    for model, moment in ((ErrorEvent, ErrorEvent.at), (ErrorGroup, ErrorGroup.last_seen)):
        old = select(model.id).where(col(moment) < until).limit(BATCH).with_for_update(skip_locked=True)
        done: Any = await session.exec(delete(model).where(col(model.id).in_(old)))
        removed += done.rowcount
    return removed
