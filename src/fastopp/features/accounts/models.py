"""The tables of accounts: accounts, the audit log, and failed sign-ins."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlmodel import Field, SQLModel


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

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    email: str = Field(unique=True, index=True, nullable=False)
    hashed_password: str = Field(nullable=False, repr=False)
    is_active: bool = Field(default=True, nullable=False)
    is_superuser: bool = Field(default=False, nullable=False)
    is_staff: bool = Field(default=False, nullable=False)
    group: str | None = Field(default=None)

    def __str__(self) -> str:
        return self.email


class AuditLog(SQLModel, table=True):
    """One change that a user made. Written, never edited."""

    __tablename__ = "audit_logs"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id", nullable=False)
    action: str = Field(max_length=50, nullable=False)
    model_name: str = Field(max_length=50, nullable=False)
    record_id: str = Field(max_length=50, nullable=False)
    changes: str | None = Field(default=None)
    ip_address: str | None = Field(default=None)
    user_agent: str | None = Field(default=None)
    timestamp: datetime = Field(default_factory=utc_now, nullable=False)


class FailedAttempt(SQLModel, table=True):
    """Failures of one subject (an account, an address) since its last success, for the lock after too many."""

    __tablename__ = "failed_attempts"

    subject: str = Field(primary_key=True, max_length=200)
    failures: int = Field(default=0, nullable=False)
    last_failure: datetime = Field(default_factory=utc_now, nullable=False)
