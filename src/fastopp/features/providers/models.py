"""The table of identities at providers."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from fastopp.features.accounts.models import utc_now


class ExternalIdentity(SQLModel, table=True):
    """An account of another site, like GitHub, that signs in to this account."""

    __tablename__ = "external_identities"
    __table_args__ = (UniqueConstraint("provider", "subject", name="uq_external_identities_provider_subject"),)

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    provider: str = Field(max_length=255, nullable=False)
    """`github`, `google`, or `oidc:` and the issuer, since a subject is unique for an issuer only."""
    subject: str = Field(max_length=255, nullable=False)
    """The provider's own, permanent name of the account. An email address is none: it may change hands."""
    user_id: uuid.UUID = Field(foreign_key="users.id", ondelete="CASCADE", index=True, nullable=False)
    email: str | None = Field(default=None, max_length=254)
    """As the provider named it when the identity was last used."""
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    last_used_at: datetime | None = Field(default=None)
