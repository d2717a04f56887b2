"""The registrant table of the webinar demo."""

import uuid
from datetime import datetime
from typing import Literal

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from fastopp.cache.tags import cache_tags
from fastopp.features.accounts.models import utc_now
from fastopp.storage.references import uploads_under

Status = Literal["registered", "confirmed", "attended", "cancelled", "no_show"]
"""The statuses that a registrant may get. Older rows may hold any text."""

_LISTED = (text("webinar_date DESC"), "webinar_title", text("lower(name)"), "id")
_LATEST = ("webinar_date", "id")


class WebinarRegistrant(SQLModel, table=True):
    """A person who signed up for a webinar."""

    __tablename__ = "webinar_registrants"
    __table_args__ = (
        # The pages' order, for all whom an account may see, and for each status.
        Index("ix_webinar_registrants_listed", *_LISTED),
        Index("ix_webinar_registrants_public", "is_public", *_LISTED),
        Index("ix_webinar_registrants_assigned", "assigned_sales_rep", *_LISTED),
        Index("ix_webinar_registrants_in_state", "status", *_LISTED),
        # What the admin sorts and filters by.
        Index("ix_webinar_registrants_webinar_date", *_LATEST),
        *(
            Index(f"ix_webinar_registrants_{name}", name, *_LATEST)
            for name in ("name", "company", "webinar_title", "status", "group")
        ),
        cache_tags("webinars"),  # each change invalidates what is cached with this tag
    )

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    email: str = Field(unique=True, index=True, nullable=False)
    name: str = Field(max_length=100, nullable=False)
    company: str | None = Field(default=None, max_length=100)
    webinar_title: str = Field(max_length=200, nullable=False)
    webinar_date: datetime = Field(nullable=False)
    registration_date: datetime = Field(default_factory=utc_now, nullable=False)
    status: str = Field(default="registered", nullable=False)
    assigned_sales_rep: str | None = Field(default=None)
    group: str | None = Field(default=None)
    is_public: bool = Field(default=True, nullable=False)
    notes: str | None = Field(default=None)
    photo_url: str | None = Field(default=None, sa_column_kwargs=uploads_under("photos/"))
    created_at: datetime = Field(default_factory=utc_now, nullable=False)
    updated_at: datetime = Field(default_factory=utc_now, nullable=False, sa_column_kwargs={"onupdate": utc_now})

    def __str__(self) -> str:
        return self.name
