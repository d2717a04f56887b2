"""End every sign-in of a restored database.

A dump is older than the database that it replaces. Sessions and API tokens that were revoked since, because they were
stolen, would be valid again, and used links could be used again. What has been revoked is no longer known, so all end.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, inspect, update
from sqlmodel import col

from fastopp.features.accounts.models import AccountLink, User, UserSession, utc_now

# With columns that distinguish them from a project's own tables of these names.
_SESSIONS = (UserSession, {"kind", "secret_digest"})
_LINKS = (AccountLink, {"purpose", "digest"})
_USERS = (User, {"old_tokens_ended_at"})


def end_sessions(connection: Connection) -> int:
    """Delete all sessions, API tokens and mailed links, and refuse the tokens that earlier releases issued.

    A database of an earlier migration, or of other tables, has none. Returns the number of sessions and API tokens.
    """
    ended = 0
    if _is_there(connection, *_SESSIONS):
        ended = connection.execute(delete(UserSession)).rowcount
    if _is_there(connection, *_LINKS):
        connection.execute(delete(AccountLink))
    if _is_there(connection, *_USERS):
        never = col(User.old_tokens_ended_at).is_(None)  # otherwise they are refused already
        connection.execute(update(User).where(never).values(old_tokens_ended_at=utc_now()))
    return ended


def _is_there(connection: Connection, model: type[User | UserSession | AccountLink], columns: set[str]) -> bool:
    name, inspector = str(model.__tablename__), inspect(connection)
    return inspector.has_table(name) and columns <= {column["name"] for column in inspector.get_columns(name)}
