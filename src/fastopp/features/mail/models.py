"""The table of mails: one row for each recipient."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from sqlalchemy import Index, Text, text
from sqlmodel import Field, SQLModel

from fastopp.database.framework_tables import MAILS

State = Literal["queued", "sent", "failed"]
STATES: Final[tuple[State, ...]] = ("queued", "sent", "failed")

MAX_ADDRESS: Final = 320  # characters: 64 before the @, 255 after it (RFC 5321, 4.5.3.1)
MAX_SUBJECT: Final = 200  # characters; mail programs show some 70
MAX_TEMPLATE: Final = 200

_HAS_BODY = text("text IS NOT NULL")


class MailMessage(SQLModel, table=True):
    """A mail to one recipient. A backup of the database leaves this table out."""

    __tablename__ = MAILS
    __table_args__ = (
        Index("ix_mail_messages_state_id", "state", "id"),
        Index("ix_mail_messages_created_at", "created_at"),
        Index("ix_mail_messages_bodies", "id", sqlite_where=_HAS_BODY, postgresql_where=_HAS_BODY),
        {"sqlite_autoincrement": True},  # an old job must not find a new mail
    )

    id: int | None = Field(default=None, primary_key=True)
    created_at: datetime = Field(nullable=False)
    template: str = Field(max_length=MAX_TEMPLATE, nullable=False)
    recipient: str = Field(max_length=MAX_ADDRESS, nullable=False)
    reply_to: str = Field(default="", max_length=MAX_ADDRESS, nullable=False)
    subject: str = Field(max_length=MAX_SUBJECT, nullable=False)
    text: str | None = Field(default=None, sa_type=Text, repr=False)
    """None once it was deleted: after the mail was sent, outside development, or after a day."""
    html: str | None = Field(default=None, sa_type=Text, repr=False)
    language: str = Field(default="", max_length=16, nullable=False)
    message_id: str = Field(max_length=MAX_ADDRESS, nullable=False)
    """The same in every attempt, so that a mail server or program may recognise a second copy."""
    state: str = Field(default="queued", max_length=16, nullable=False)
    attempts: int = Field(default=0, nullable=False)
    error: str = Field(default="", sa_type=Text, nullable=False)
    """The reason why the last attempt failed."""
    sent_at: datetime | None = Field(default=None)
