"""Find the account and the session behind a token, in one statement."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import sqlalchemy
from sqlmodel import and_, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.runtime import Runtime
from fastopp.database.migrations.adopt import SCHEMA_0_4_8
from fastopp.features.accounts.api_tokens import APIToken, read_api_token
from fastopp.features.accounts.models import User, UserSession
from fastopp.features.accounts.tokens import Claims, read_token
from fastopp.features.accounts.user_sessions import SEEN_EVERY, SEEN_LIMIT, write_last_seen
from fastopp.settings import Settings


class SignedIn(NamedTuple):
    """An active account, and the session that a request belongs to."""

    user: User
    session: UserSession | None
    """None for a token of an earlier release."""


def read_credential(text: str, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Claims | APIToken | None:
    """Return what a text says it is: a genuine sign-in token, or any text in the form of an API token."""
    return read_api_token(text) or read_token(text, settings, clock=clock)


async def find_signed_in(
    session: AsyncSession, credential: Claims | APIToken, settings: Settings, *, clock: Clock = SYSTEM_CLOCK
) -> SignedIn | None:
    """Return the active account of a credential whose session goes on. One query."""
    statement = select(User, UserSession)
    if isinstance(credential, APIToken):
        statement = statement.join(UserSession, col(UserSession.user_id) == col(User.id)).where(
            col(UserSession.id) == credential.session_id
        )
    else:
        own = col(UserSession.id) == credential.session_id, col(UserSession.user_id) == col(User.id)
        statement = statement.outerjoin(UserSession, and_(*own)).where(col(User.id) == credential.user_id)
    found = (await session.exec(statement)).first()
    if found is None:
        return None
    user, row = found
    # Out of the session, whose rollback would otherwise make the rows unreadable for the page that says so.
    session.expunge(user)
    if row is not None:
        session.expunge(row)
    if not user.is_active or not _goes_on(credential, user, row, clock):
        return None
    if isinstance(credential, APIToken):
        return SignedIn(user, row) if row is not None and credential.fits(row) else None
    return SignedIn(user, row) if credential.fits(user, settings) else None


async def find_before_migration(session: AsyncSession, claims: Claims, settings: Settings) -> SignedIn | None:
    """Return the active account of a token while the database has yet to get the table of sessions.

    It asks for no column that FastOpp 0.4.8 did not have. No session can be ended there, but the password counts.
    """
    known = (getattr(User, name) for name in sorted(SCHEMA_0_4_8["users"]))
    connection = await session.connection()
    found = await connection.execute(sqlalchemy.select(*known).where(col(User.id) == claims.user_id))
    row = found.mappings().first()
    user = User(**row) if row is not None else None
    return SignedIn(user, None) if user is not None and user.is_active and claims.fits(user, settings) else None


def note_use(runtime: Runtime, row: UserSession) -> None:
    """Have the use of a session written down, unless it was a moment ago. The request does not wait for it."""
    moment = runtime.clock.now()
    if row.last_seen_at is None or row.last_seen_at <= moment - SEEN_EVERY:
        work = partial(write_last_seen, runtime.database, row.id, moment)
        runtime.background.start("Writing a session's last use", work, limit=SEEN_LIMIT)


def _goes_on(credential: Claims | APIToken, user: User, row: UserSession | None, clock: Clock) -> bool:
    if row is not None:
        fitting = (row.kind == "token") is isinstance(credential, APIToken)
        return fitting and (row.expires_at is None or row.expires_at > clock.now())
    return isinstance(credential, Claims) and credential.session_id is None and user.old_tokens_ended_at is None
