"""Sessions on record: one row in `sessions` for each sign-in and API token. Deleting the row ends it at once.

The audit log keeps the history, so that this table holds only what is valid.
"""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import and_, col, delete, func, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.session import Database
from fastopp.errors import Conflict, NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import SessionKind, User, UserSession

SIGN_INS: tuple[SessionKind, ...] = ("browser", "program")
MAX_SIGN_INS = 100  # sessions of an account, of browsers and of programs each; the oldest end
SEEN_EVERY = timedelta(minutes=5)  # between two writes of `last_seen_at`
SEEN_LIMIT = 5.0  # seconds that such a write may take
EMERGENCY_KEY = "emergency_session"  # in a browser's signed session: the id of its grant of emergency access
PRUNED_AT_ONCE = 500  # expired rows that one statement of clean-up removes


class AccountChanged(Conflict):
    """The account was changed at this moment."""

    hint = "Sign in again."


class SessionMissing(NotFound):
    """There is no such session."""


async def add_session(
    session: AsyncSession,
    user: User,
    kind: SessionKind,
    client: Client,
    *,
    lifetime: timedelta | None,
    clock: Clock = SYSTEM_CLOCK,
) -> UserSession:
    """Add a row for an account, and end the oldest beyond `MAX_SIGN_INS`. Its caller may complete the row.

    Raises AccountChanged when the account has got another password, or is deactivated, since `user` was read.
    """
    await lock_account(session, user)
    moment = clock.now()
    added = UserSession(
        user_id=user.id,
        kind=kind,
        created_at=moment,
        last_seen_at=None if kind == "token" else moment,
        expires_at=None if lifetime is None else moment + lifetime,
        address=client.address,
        user_agent=client.user_agent,
    )
    if kind != "token":
        await _make_room(session, user.id, kind, moment)
    session.add(added)
    return added


async def lock_account(session: AsyncSession, user: User) -> None:
    """Let no other transaction change the account until this one ends. Raises AccountChanged.

    Otherwise a session could be added between the deletion of all and the commit of the change that caused it.
    """
    statement = select(User.hashed_password).where(col(User.id) == user.id, col(User.is_active).is_(True))
    if (await session.exec(statement.with_for_update())).first() != user.hashed_password:
        raise AccountChanged


async def list_sessions(
    session: AsyncSession,
    user_id: uuid.UUID,
    kinds: Sequence[SessionKind] | None = None,
    *,
    clock: Clock = SYSTEM_CLOCK,
) -> Sequence[UserSession]:
    """Return the valid sessions of an account, the last used first; of all kinds, or of some."""
    statement = select(UserSession).where(
        col(UserSession.user_id) == user_id,
        or_(col(UserSession.expires_at).is_(None), col(UserSession.expires_at) > clock.now()),
    )
    if kinds is not None:
        statement = statement.where(col(UserSession.kind).in_(kinds))
    used = func.coalesce(col(UserSession.last_seen_at), col(UserSession.created_at))
    order = used.desc(), col(UserSession.id)
    return (await session.exec(statement.order_by(*order))).all()


async def revoke_session(
    session: AsyncSession, user: User, session_id: uuid.UUID, client: Client | None = None, *, action: str = "revoke"
) -> None:
    """End one session of an account, and record it. Raises SessionMissing."""
    statement = delete(UserSession).where(col(UserSession.id) == session_id, col(UserSession.user_id) == user.id)
    returned = await session.exec(statement.returning(col(UserSession.kind), col(UserSession.name)))
    ended = returned.first()
    if ended is None:
        raise SessionMissing
    changes = {"kind": ended.kind} | ({"name": ended.name} if ended.name else {})
    await audit.record(session, user, action, "UserSession", session_id, changes, client=client)


async def revoke_all(
    session: AsyncSession,
    user: User,
    client: Client | None = None,
    *,
    by: User | None = None,
    keep: uuid.UUID | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> int:
    """Sign an account out everywhere: browsers, programs and API tokens; of a superuser, emergency access too.

    Parameters
    ----------
    by: who does it, unless it is the user.
    keep: the one session that goes on.

    Returns
    -------
    The number of sessions that ended, without tokens of earlier releases, which are on no record.
    """
    owned = col(UserSession.user_id) == user.id
    if user.is_superuser:
        # Their rows have no account, by which an index finds them.
        owned = or_(owned, and_(col(UserSession.user_id).is_(None), col(UserSession.kind) == "emergency"))
    statement = delete(UserSession).where(owned)
    if keep is not None:
        statement = statement.where(col(UserSession.id) != keep)
    await end_old_tokens(session, user, clock=clock)  # first the account, in the order in which signing in locks them
    ended: int = (await session.exec(statement)).rowcount
    await audit.record(session, by or user, "revoke all", "User", user.id, {"sessions": ended}, client=client)
    return ended


async def end_old_tokens(session: AsyncSession, user: User, *, clock: Clock = SYSTEM_CLOCK) -> None:
    """End the tokens of an account that earlier releases issued. They have no session, so it is all or none."""
    await session.exec(update(User).where(col(User.id) == user.id).values(old_tokens_ended_at=clock.now()))


async def end_emergency(database: Database, browser: MutableMapping[str, Any]) -> None:
    """End the emergency access of a browser, given its signed session. Raises DatabaseUnavailable, TablesMissing."""
    given = browser.pop(EMERGENCY_KEY, None)
    if isinstance(given, str):
        with suppress(ValueError):
            own = col(UserSession.id) == uuid.UUID(given), col(UserSession.kind) == "emergency"
            async with database.transaction() as session:
                await session.exec(delete(UserSession).where(*own))


async def write_last_seen(database: Database, session_id: uuid.UUID, moment: datetime) -> None:
    """Note that a session was used, unless another process has done so within `SEEN_EVERY`. One round trip."""
    old = or_(col(UserSession.last_seen_at).is_(None), col(UserSession.last_seen_at) <= moment - SEEN_EVERY)
    statement = update(UserSession).where(col(UserSession.id) == session_id, old).values(last_seen_at=moment)
    async with database.autocommit() as connection:
        await connection.execute(statement)


async def remove_expired(session: AsyncSession, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove some of the sessions that have expired: how many; 0 when there are none left."""
    expired = select(UserSession.id).where(col(UserSession.expires_at) <= clock.now()).limit(PRUNED_AT_ONCE)
    statement = delete(UserSession).where(col(UserSession.id).in_(expired.with_for_update(skip_locked=True)))
    removed: int = (await session.exec(statement)).rowcount
    return removed


async def _make_room(session: AsyncSession, user_id: uuid.UUID, kind: SessionKind, moment: datetime) -> None:
    same = col(UserSession.user_id) == user_id, col(UserSession.kind) == kind
    newest_first = col(UserSession.created_at).desc(), col(UserSession.id)
    beyond = select(UserSession.id).where(*same).order_by(*newest_first).offset(MAX_SIGN_INS - 1)
    over = or_(col(UserSession.expires_at) <= moment, col(UserSession.id).in_(beyond))
    await session.exec(delete(UserSession).where(*same, over))
