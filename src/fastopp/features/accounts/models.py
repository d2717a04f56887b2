"""The tables of accounts: accounts, their sessions and links, the audit log, and failed sign-ins."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import JSON, Connection, Index, event, inspect, text
from sqlalchemy.orm import Mapper
from sqlmodel import Field, SQLModel, col, delete, update

PRIVATE = {"hashed_password", "old_tokens_ended_at"}  # columns of accounts that no answer has
DELETED_DOMAIN = "deleted.invalid"  # of the addresses of deleted accounts; reserved by RFC 2606
MAX_NAME = 100  # characters of an account's name, and of an API token's

SessionKind = Literal["browser", "program", "token", "emergency"]
"""`browser`: cookies; `program`: a token from POST /api/token; `token`: an API token; `emergency`: emergency access."""


def utc_now() -> datetime:
    """Return the current time in UTC, with its timezone, as every time column stores it."""
    return datetime.now(UTC)


def fold_email(email: str) -> str:
    """Return the form in which email addresses are compared.

    Folded here and not in the database: beyond ASCII, `lower()` differs between Python, PostgreSQL and SQLite.
    """
    return email.strip().lower()


class User(SQLModel, table=True):
    """A user's account. Permissions are read from this row on every request, never from a token."""

    __tablename__ = "users"
    __table_args__ = (
        Index("ix_users_email_lower", text("lower(email)")),
        # What the admin sorts and filters by, and then by the email address.
        *(
            Index(f"ix_users_{name}", name, "email")
            for name in ("name", "is_active", "is_superuser", "is_staff", "group")
        ),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    email: str = Field(unique=True, index=True, nullable=False)
    hashed_password: str = Field(nullable=False, repr=False)
    is_active: bool = Field(default=True, nullable=False)
    is_superuser: bool = Field(default=False, nullable=False)
    is_staff: bool = Field(default=False, nullable=False)
    group: str | None = Field(default=None)
    name: str | None = Field(default=None, max_length=MAX_NAME)
    email_unconfirmed_since: datetime | None = Field(default=None)
    """Set while a person who signed up has yet to confirm the address. All other accounts count as confirmed."""
    time_zone: str | None = Field(default=None, max_length=64)
    language: str | None = Field(default=None, max_length=35)
    old_tokens_ended_at: datetime | None = Field(default=None)
    """Once it is set, sign-in tokens without a session, which earlier releases issued, are refused."""

    @property
    def email_confirmed(self) -> bool:
        """Whether the address is known to be the user's own."""
        return self.email_unconfirmed_since is None

    def __str__(self) -> str:
        return self.email


class UserSession(SQLModel, table=True):
    """A sign-in, an API token or a grant of emergency access. It ends when its row is deleted.

    Not named `Session`, which is a likely name of a project's own model.
    """

    __tablename__ = "sessions"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", index=True)
    """None for emergency access, which belongs to no account."""
    kind: str = Field(max_length=20, nullable=False)
    name: str | None = Field(default=None, max_length=MAX_NAME)
    scopes: str | None = Field(default=None, max_length=100)
    """Of an API token, separated by spaces."""
    secret_digest: str | None = Field(default=None, max_length=64, repr=False)
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    last_seen_at: datetime | None = Field(default=None)
    """Written at most every five minutes. None: not used since it was created."""
    expires_at: datetime | None = Field(default=None, index=True)
    address: str | None = Field(default=None, max_length=100)
    user_agent: str | None = Field(default=None, max_length=300)


class AccountLink(SQLModel, table=True):
    """A link that was mailed, for one use within a time; see `links`."""

    __tablename__ = "account_links"
    __table_args__ = (Index("ix_account_links_purpose", "purpose", "created_at"),)

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    purpose: str = Field(max_length=20, nullable=False)
    user_id: uuid.UUID | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", index=True)
    email: str | None = Field(default=None, max_length=254, index=True)
    details: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    digest: str = Field(max_length=64, nullable=False, repr=False)
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    expires_at: datetime = Field(index=True, nullable=False)


class AuditLog(SQLModel, table=True):
    """One change that a user made. Written, never edited."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index("ix_audit_logs_action", "action", "timestamp", "id"),
        Index("ix_audit_logs_model_name", "model_name", "timestamp", "id"),
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id", nullable=False, index=True)
    action: str = Field(max_length=50, nullable=False)
    model_name: str = Field(max_length=50, nullable=False)
    record_id: str = Field(max_length=50, nullable=False)
    changes: str | None = Field(default=None)
    ip_address: str | None = Field(default=None)
    user_agent: str | None = Field(default=None)
    timestamp: datetime = Field(default_factory=utc_now, nullable=False, index=True)


class FailedAttempt(SQLModel, table=True):
    """Failures of one subject (an account, an address) since its last success, for the lock after too many."""

    __tablename__ = "failed_attempts"

    subject: str = Field(primary_key=True, max_length=200)
    failures: int = Field(default=0, nullable=False)
    last_failure: datetime = Field(default_factory=utc_now, nullable=False, index=True)


@event.listens_for(User, "before_update")
def _end_sessions(_mapper: Mapper[User], connection: Connection, user: User) -> None:
    """End every session and link of an account that gets another password or is deactivated, by any code.

    Another email address ends its links: they were sent to the old one.
    """
    changed = inspect(user).attrs
    deactivated = changed.is_active.history.has_changes() and not user.is_active
    ended = deactivated or changed.hashed_password.history.has_changes()
    if ended:
        # The account first, in the order in which signing in locks them.
        connection.execute(update(User).where(col(User.id) == user.id).values(old_tokens_ended_at=utc_now()))
        connection.execute(delete(UserSession).where(col(UserSession.user_id) == user.id))
    if ended or changed.email.history.has_changes():
        connection.execute(delete(AccountLink).where(col(AccountLink.user_id) == user.id))
