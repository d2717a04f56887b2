"""The rights to registrants."""

from __future__ import annotations

from sqlalchemy import ColumnElement
from sqlmodel import col

from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import FULL, STAFF, SUPERUSER, Grant, Rights, RightsTable

TABLE = "webinar_registrants"
WEBINAR_GROUPS = frozenset({"marketing", "sales"})


def can_manage(user: User) -> bool:
    """Whether the user's role has to do with webinars."""
    return user.is_superuser or user.group in WEBINAR_GROUPS


SESSION = {"can_manage_webinars": can_manage}  # for templates, as in FastOpp 0.4.8


def assigned_to(user: User) -> ColumnElement[bool]:
    """The rows whose sales representative the user is."""
    return col(WebinarRegistrant.assigned_sales_rep) == user.email


def public_rows(user: User) -> ColumnElement[bool]:
    """Return the rows that everyone may see."""
    return col(WebinarRegistrant.is_public).is_(True)


RIGHTS: RightsTable = {
    TABLE: {
        SUPERUSER: FULL,
        "marketing": FULL,
        "sales": Grant.of("view", "edit", rows=assigned_to),
    }
}
"""In the admin panel, where other staff have no business with registrants."""

PAGE_RIGHTS = Rights({TABLE: {**RIGHTS[TABLE], STAFF: Grant.of("view", rows=public_rows)}})
"""On the registrants' page, where other staff may look at what is public."""
