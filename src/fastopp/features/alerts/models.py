"""The tables of alerts: incidents, the state of each rule, and leases."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Float, Index, Text
from sqlmodel import Field, SQLModel

from fastopp.database.framework_tables import ALERT_INCIDENTS, ALERT_LEASES, ALERT_RULES

MAX_RULE: Final = 100
MAX_TITLE: Final = 200
MAX_TEXT: Final = 500
MAX_DETAIL: Final = 2000
ALL: Final = "all"
"""The name of the row that mutes every rule."""


class AlertIncident(SQLModel, table=True):
    """A time in which a rule is true. A backup of the database leaves this table out."""

    __tablename__ = ALERT_INCIDENTS
    __table_args__ = (
        Index("ix_alert_incidents_opened_at", "opened_at", "id"),
        {"sqlite_autoincrement": True},  # a task must not find another incident
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(default_factory=lambda: uuid.uuid4().hex, max_length=32, nullable=False)
    """The id that receivers of messages see."""
    open_key: str | None = Field(default=None, max_length=MAX_RULE + 30, unique=True)
    """While it is open, its rule, and for the rule of new errors an error's id too; so no rule is open twice."""
    rule: str = Field(max_length=MAX_RULE, nullable=False)
    title: str = Field(max_length=MAX_TITLE, nullable=False)
    text: str = Field(max_length=MAX_TEXT, nullable=False)
    """The value when it opened, and the threshold."""
    detail: str = Field(default="", sa_type=Text, nullable=False)
    hint: str = Field(default="", max_length=MAX_TEXT, nullable=False)
    subjects: list[Any] = Field(default_factory=list, sa_type=JSON, nullable=False)
    """For the rule of new errors, their ids."""
    opened_at: datetime = Field(nullable=False)
    resolved_at: datetime | None = Field(default=None)
    notified_at: datetime | None = Field(default=None)
    """The time when messages were queued; None while its rule has been muted all the time."""
    end_notified: bool = Field(default=False, nullable=False)
    """Whether messages about its end were queued, or were not wanted."""


class RuleState(SQLModel, table=True):
    """The newest measurement of a rule, and whether it is muted. A backup of the database leaves this table out."""

    __tablename__ = ALERT_RULES

    rule: str = Field(primary_key=True, max_length=MAX_RULE)
    """Its id, or `ALL`."""
    value: float | None = Field(default=None, sa_type=Float)
    """None: there was nothing to measure."""
    sample: int = Field(default=0, sa_type=BigInteger, nullable=False)
    detail: str = Field(default="", sa_type=Text, nullable=False)
    problem: str = Field(default="", max_length=MAX_TEXT, nullable=False)
    """The reason why it could not be measured."""
    measured_at: datetime | None = Field(default=None)
    true_since: datetime | None = Field(default=None)
    calm_since: datetime | None = Field(default=None)
    """Since when the value has been below the one at which an incident ends."""
    muted_until: datetime | None = Field(default=None)


class AlertLease(SQLModel, table=True):
    """The time at which something was last begun that one instance does at a time."""

    __tablename__ = ALERT_LEASES

    name: str = Field(primary_key=True, max_length=32)
    at: float = Field(sa_type=Float, nullable=False)
    """Seconds since 1970."""
