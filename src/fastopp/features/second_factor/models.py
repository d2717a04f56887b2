"""The tables of second factors: the secret of each account, and its recovery codes."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlmodel import Field, SQLModel

from fastopp.features.accounts.models import utc_now


class SecondFactor(SQLModel, table=True):
    """The second factor of an account: a secret that an app makes codes from."""

    __tablename__ = "second_factors"

    user_id: uuid.UUID = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    secret: str = Field(max_length=200, nullable=False, repr=False)
    """Encrypted under a key that is derived from SECRET_KEY."""
    last_step: int = Field(nullable=False)
    """The time step of the newest code that was used. No code of it, or of one before, is accepted again."""
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    last_used_at: datetime | None = Field(default=None)


class RecoveryCode(SQLModel, table=True):
    """A code that takes the place of the second factor once. A used one is deleted."""

    __tablename__ = "recovery_codes"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True, nullable=False)
    digest: str = Field(max_length=64, nullable=False, repr=False)
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
