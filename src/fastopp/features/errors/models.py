"""The tables of errors: a row for each kind of error, and the occurrences that are kept of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from fastopp.database.framework_tables import ERROR_EVENTS, ERROR_GROUPS

State = Literal["open", "resolved", "ignored"]
STATES: Final = ("open", "resolved", "ignored")

EVENTS_OF_GROUP: Final = 50
"""Occurrences that are kept of a group: the first one, and the newest."""

MAX_TYPE: Final = 200
MAX_MESSAGE: Final = 500
MAX_PLACE: Final = 300
MAX_RELEASE: Final = 100
MAX_ROUTE: Final = 300
MAX_NAME: Final = 128


class ErrorGroup(SQLModel, table=True):
    """Errors of one type from one place. A backup of the database leaves this table out."""

    __tablename__ = ERROR_GROUPS
    __table_args__ = (
        Index("ix_error_groups_state_last_seen", "state", "last_seen", "id"),
        Index("ix_error_groups_last_seen", "last_seen", "id"),
        {"sqlite_autoincrement": True},  # an old address must not lead to a new error
    )

    id: int | None = Field(default=None, primary_key=True)
    fingerprint: str = Field(max_length=64, unique=True, nullable=False)
    type: str = Field(max_length=MAX_TYPE, nullable=False)
    message: str = Field(default="", max_length=MAX_MESSAGE, nullable=False)
    """Of a recent occurrence."""
    place: str = Field(default="", max_length=MAX_PLACE, nullable=False)
    """The innermost line of the project's own code: file, function."""
    state: str = Field(default="open", max_length=16, nullable=False)
    count: int = Field(default=0, sa_type=BigInteger, nullable=False)
    retries: int = Field(default=0, sa_type=BigInteger, nullable=False)
    """The number of these that were attempts of tasks that were made again."""
    stored: int = Field(default=0, sa_type=BigInteger, nullable=False)
    """The number of these that became events, those that others have replaced included."""
    first_seen: datetime = Field(nullable=False)
    last_seen: datetime = Field(nullable=False)
    release: str = Field(default="", max_length=MAX_RELEASE, nullable=False)
    """Of the newest occurrence."""
    resolved_at: datetime | None = Field(default=None)
    resolved_release: str | None = Field(default=None, max_length=MAX_RELEASE)
    """The release that ran when it was resolved: an occurrence there reopens it. None: the next release resolves it."""
    resolved_from: str = Field(default="", max_length=MAX_RELEASE, nullable=False)
    """The release in which it may occur, in an old instance for example, without being open again."""
    regressed_at: datetime | None = Field(default=None)
    """The time when an occurrence has reopened it."""
    alerted_at: datetime | None = Field(default=None)
    """The time when `claim_news` has returned it; None while it is news that it is there, or there again."""


class ErrorEvent(SQLModel, table=True):
    """One occurrence of an error. `slot` bounds how many a group has: a new one replaces an old one there."""

    __tablename__ = ERROR_EVENTS
    __table_args__ = (
        UniqueConstraint("group_id", "slot", name="uq_error_events_group_id_slot"),
        Index("ix_error_events_request_id", "request_id"),
        Index("ix_error_events_at", "at", "id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    group_id: int = Field(
        sa_column=Column(Integer, ForeignKey(f"{ERROR_GROUPS}.id", ondelete="CASCADE"), nullable=False)
    )
    slot: int = Field(nullable=False)
    number: int = Field(sa_type=BigInteger, nullable=False)
    """1 for the first event of the group."""
    at: datetime = Field(nullable=False)
    kind: str = Field(max_length=16, nullable=False)
    message: str = Field(sa_type=Text, nullable=False)
    traceback: str = Field(sa_type=Text, nullable=False)
    context: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, nullable=False)
    request_id: str = Field(default="", max_length=MAX_NAME, nullable=False)
    method: str = Field(default="", max_length=16, nullable=False)
    route: str = Field(default="", max_length=MAX_ROUTE, nullable=False)
    """The path of the route with its parameters' names; empty where no route matched."""
    user_id: str = Field(default="", max_length=36, nullable=False)
    task: str = Field(default="", max_length=MAX_NAME, nullable=False)
    job_id: int | None = Field(default=None, sa_type=BigInteger)
    attempt: int | None = Field(default=None)
    release: str = Field(default="", max_length=MAX_RELEASE, nullable=False)
    instance: str = Field(default="", max_length=MAX_NAME, nullable=False)


def slot_of(number: int) -> int:
    """Return where an event is kept: the first one in slot 0, the others in turn in the rest."""
    return 0 if number == 1 else 1 + (number - 2) % (EVENTS_OF_GROUP - 1)
