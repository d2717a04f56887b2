"""Every query on registrants."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, and_, func, or_, true
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.webinars.models import Status, WebinarRegistrant
from demo.webinars.permissions import PAGE_RIGHTS, TABLE
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import Action
from fastopp.web.forms import CleanText

MAX_PAGE = 100_000
MAX_PER_PAGE = 1_000

_SEARCHED = ("name", "email", "company", "webinar_title", "notes", "status")


class RegistrantFilter(BaseModel):
    """Which registrants: the parameters that the page and the API share."""

    q: Annotated[CleanText, Field(max_length=100, description="Text in any field.")] = ""
    status: Annotated[Status | Literal[""], Field(description="Only those with this status.")] = ""
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1

    def as_query(self) -> str:
        """As a query string that names only what differs from the defaults, like `?q=lee`; empty if nothing does."""
        given = self.model_dump(exclude_defaults=True, mode="json")
        return "?" + urlencode(given) if given else ""

    def condition(self) -> ColumnElement[bool]:
        """The WHERE clause. Wildcards in the search text are looked for as they are."""
        conditions: list[ColumnElement[bool]] = [true()]
        if text := self.q.strip():
            columns = (col(getattr(WebinarRegistrant, name)) for name in _SEARCHED)
            conditions.append(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        if self.status:
            conditions.append(col(WebinarRegistrant.status) == self.status)
        return and_(*conditions)


async def list_page(
    session: AsyncSession, user: User, wanted: RegistrantFilter, *, per_page: int
) -> list[WebinarRegistrant]:
    """One page of the registrants that the user may see; the latest webinar first, then by name."""
    query = (
        PAGE_RIGHTS.restrict(select(WebinarRegistrant).where(wanted.condition()), user, TABLE)
        .order_by(
            col(WebinarRegistrant.webinar_date).desc(),
            func.lower(WebinarRegistrant.name),
            # The id settles ties, so that nobody is on two pages.
            col(WebinarRegistrant.id),
        )
        .limit(per_page)
        .offset((wanted.page - 1) * per_page)
    )
    return list((await session.exec(query)).all())


async def count(session: AsyncSession, user: User, wanted: RegistrantFilter) -> tuple[int, int]:
    """How many registrants the user may see, and how many of them fit the filter."""
    everything = func.count()
    query: Any = select(everything, everything.filter(wanted.condition())).select_from(WebinarRegistrant)
    row = (await session.exec(PAGE_RIGHTS.restrict(query, user, TABLE))).one()
    return row[0], row[1]


async def find(
    session: AsyncSession, user: User, registrant_id: uuid.UUID, action: Action = "view", *, lock: bool = False
) -> WebinarRegistrant | None:
    """A registrant on whom the user may do this, or None. `lock` makes others who would change them wait."""
    query = select(WebinarRegistrant).where(col(WebinarRegistrant.id) == registrant_id)
    query = PAGE_RIGHTS.restrict(query, user, TABLE, action)
    if lock:
        # No-op on SQLite, where a transaction begins as the only writer. Read anew, since others may have written.
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.exec(query)).one_or_none()


async def list_public(session: AsyncSession, *, page: int = 1, per_page: int = MAX_PER_PAGE) -> list[WebinarRegistrant]:
    """One page of the registrants that everybody may see, grouped by webinar: the latest first."""
    query = (
        select(WebinarRegistrant)
        .where(col(WebinarRegistrant.is_public).is_(True))
        .order_by(
            col(WebinarRegistrant.webinar_date).desc(),
            col(WebinarRegistrant.webinar_title),
            func.lower(WebinarRegistrant.name),
            col(WebinarRegistrant.id),
        )
        .limit(per_page)
        .offset((page - 1) * per_page)
    )
    return list((await session.exec(query)).all())


async def count_public(session: AsyncSession) -> tuple[int, int, int]:
    """How many registrants everybody may see, of how many webinars, and from how many companies."""
    query = select(
        func.count(),
        func.count(col(WebinarRegistrant.webinar_title).distinct()),
        func.count(col(WebinarRegistrant.company).distinct()),
    ).where(col(WebinarRegistrant.is_public).is_(True))
    row = (await session.exec(query)).one()
    return row[0], row[1], row[2]
