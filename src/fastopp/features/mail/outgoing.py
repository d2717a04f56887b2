"""The rows of mails: read, changed, counted and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import CursorResult, func, literal_column
from sqlalchemy.orm import defer
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.database.counting import EXACT_UP_TO, Count
from fastopp.database.session import Database
from fastopp.features.mail.errors import MailConflict, MailMissing
from fastopp.features.mail.models import STATES, MailMessage, State

BODIES_KEPT: Final = timedelta(days=1)
"""Until then an undelivered mail is tried again, and may be sent again by hand."""
ROWS_KEPT: Final = timedelta(days=30)
BATCH: Final = 500  # rows that one transaction changes: others wait for it on SQLite

TOO_LATE: Final = "It was not delivered within a day."


async def get_mail(session: AsyncSession, mail_id: int) -> MailMessage:
    """Return a mail. Raises MailMissing."""
    found = await session.get(MailMessage, mail_id)
    if found is None:
        raise MailMissing
    return found


async def list_mails(
    session: AsyncSession, *, state: State | None = None, before: int | None = None, limit: int
) -> Sequence[MailMessage]:
    """Return mails, the newest first, without their bodies; `before` is the id of the last one of the page before."""
    bodies = (defer(MailMessage.text, raiseload=True), defer(MailMessage.html, raiseload=True))  # type: ignore[arg-type]
    wanted = select(MailMessage).options(*bodies).order_by(col(MailMessage.id).desc()).limit(limit)
    if state:
        wanted = wanted.where(MailMessage.state == state)
    if before:
        wanted = wanted.where(col(MailMessage.id) < before)
    return (await session.exec(wanted)).all()


async def count_mails(session: AsyncSession) -> dict[State, Count]:
    """Return how many there are in each state; beyond EXACT_UP_TO, that there are more."""
    states: list[Any] = []
    for state in STATES:
        some: Any = select(literal_column("1")).select_from(MailMessage).where(col(MailMessage.state) == state)
        states.append(select(func.count()).select_from(some.limit(EXACT_UP_TO + 1).subquery()).scalar_subquery())
    query: Any = select(*states)
    found: zip[tuple[State, int]] = zip(STATES, (await session.exec(query)).one(), strict=True)
    return {
        state: Count(number) if number <= EXACT_UP_TO else Count(EXACT_UP_TO, "more than") for state, number in found
    }


async def queue_again(session: AsyncSession, mail_id: int, now: datetime) -> MailMessage:
    """Change a failed mail to queued, for the caller to queue its task. Raises MailMissing, MailConflict."""
    changed = update(MailMessage).where(
        col(MailMessage.id) == mail_id,
        col(MailMessage.state) == "failed",
        col(MailMessage.text).is_not(None),
        col(MailMessage.created_at) > now - BODIES_KEPT,
    )
    if not (await _execute(session, changed.values(state="queued", error=""))):
        mail = await get_mail(session, mail_id)
        if mail.state == "failed":
            raise MailConflict("The body of this mail was deleted.", hint="Have it written again.")
        raise MailConflict(f"This mail is {mail.state}.")
    return await get_mail(session, mail_id)


async def give_up(session: AsyncSession, mail_id: int) -> None:
    """Record that a mail was not delivered in time, and delete its body."""
    waiting = update(MailMessage).where(col(MailMessage.id) == mail_id, col(MailMessage.state) != "sent")
    await _execute(session, waiting.values(state="failed", error=TOO_LATE, text=None, html=None))


async def oldest_failed(session: AsyncSession) -> datetime | None:
    """Return when the oldest failed mail was written whose body is still there."""
    kept = select(func.min(MailMessage.created_at)).where(
        col(MailMessage.state) == "failed", col(MailMessage.text).is_not(None)
    )
    return (await session.exec(kept)).one()


async def clean_up(database: Database, clock: Clock) -> int:
    """Delete what is too old, in bounded transactions, and return how many bodies and rows that were."""
    removed = 0
    for remove in (forget_bodies, delete_old):
        while True:
            async with database.transaction() as session:
                batch = await remove(session, clock.now())
            removed += batch
            if not batch:
                break
    return removed


async def forget_bodies(session: AsyncSession, now: datetime) -> int:
    """Delete bodies that are older than BODIES_KEPT; of a mail that still waits it is the end. Returns how many."""
    old = (
        select(MailMessage.id)
        .where(col(MailMessage.created_at) <= now - BODIES_KEPT, col(MailMessage.text).is_not(None))
        .order_by(col(MailMessage.id))
        .limit(BATCH)
    )
    ids = (await session.exec(old)).all()
    if not ids:
        return 0
    waiting = update(MailMessage).where(col(MailMessage.id).in_(ids), col(MailMessage.state) == "queued")
    await _execute(session, waiting.values(state="failed", error=TOO_LATE))
    return await _execute(session, update(MailMessage).where(col(MailMessage.id).in_(ids)).values(text=None, html=None))


async def delete_old(session: AsyncSession, now: datetime) -> int:
    """Delete rows that are older than ROWS_KEPT. Returns how many."""
    old = (
        select(MailMessage.id)
        .where(col(MailMessage.created_at) <= now - ROWS_KEPT)
        .order_by(col(MailMessage.id))
        .limit(BATCH)
    )
    ids = (await session.exec(old)).all()
    return await _execute(session, delete(MailMessage).where(col(MailMessage.id).in_(ids))) if ids else 0


async def _execute(session: AsyncSession, statement: object) -> int:
    done = await session.exec(statement)  # type: ignore[call-overload]
    assert isinstance(done, CursorResult)  # noqa: S101 - as of every statement that writes
    return done.rowcount
