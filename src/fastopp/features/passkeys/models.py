"""The table of passkeys."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from fastopp.features.accounts.models import MAX_NAME, utc_now


class Passkey(SQLModel, table=True):
    """A passkey of an account."""

    __tablename__ = "passkeys"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True, nullable=False)
    credential_id: str = Field(max_length=1400, unique=True, nullable=False)
    """As the browser names it, in base64url: 1,023 bytes at most (WebAuthn, 4)."""
    public_key: bytes = Field(nullable=False, repr=False)
    sign_count: int = Field(sa_type=BigInteger, nullable=False)
    last_challenge_at: datetime = Field(nullable=False)
    """The time of the newest challenge that was answered. None of that time, or from before, is accepted again."""
    name: str = Field(max_length=MAX_NAME, nullable=False)
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    last_used_at: datetime | None = Field(default=None)
