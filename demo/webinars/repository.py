"""Every query on registrants."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlencode

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, true
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.webinars.models import Status, WebinarRegistrant
from demo.webinars.permissions import PAGE_RIGHTS, TABLE
from fastopp.database.counting import Count, count_matching, count_table
from fastopp.database.keyset import NUMBERED_UP_TO, Key, reversed_order, rows_after
from fastopp.errors import BadRequest, NotFound
from fastopp.features.accounts.models import User
from fastopp.features.accounts.permissions import Action
from fastopp.web.forms import CleanText

MAX_PAGE = 100_000
MAX_PER_PAGE = 1_000
COUNTED = 2_000  # public registrants; the webinars and companies of more are not looked up

_SEARCHED = ("name", "email", "company", "webinar_title", "notes", "status")

# The columns alone, of the table: no entity is made of a row that is only shown.
_TABLE = SQLModel.metadata.tables[WebinarRegistrant.__tablename__]
_PUBLIC = ("id", "name", "company", "webinar_title", "webinar_date", "status", "photo_url", "created_at")
_PRIVATE = ("email", "group", "notes", "registration_date")

_ORDER = (
    Key(col(WebinarRegistrant.webinar_date), descending=True),
    Key(col(WebinarRegistrant.webinar_title)),
    Key(func.lower(WebinarRegistrant.name)),
    # The id settles ties, so that no registrant is on two pages.
    Key(col(WebinarRegistrant.id)),
)
"""The order of every list: the latest webinar first, then by name. Indexes begin with whom a list shows."""


class PageTooFar(BadRequest):
    """There are too many registrants to count pages that far."""

    hint = "Pass `after`, the id of the last registrant of the page before, or narrow the search."


class PageGone(NotFound):
    """The registrant at whom this page begins is not there any more."""

    hint = "Begin with the first page."


class Audience(NamedTuple):
    """The numbers of public registrants, of their webinars and of their companies."""

    attendees: Count
    webinars: Count
    companies: Count


class Paging(BaseModel):
    """The page of a list."""

    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    after: Annotated[uuid.UUID | None, Field(description="Begin after this one; `page` is not counted then.")] = None
    before: Annotated[uuid.UUID | None, Field(description="End before this one, likewise.")] = None


class RegistrantFilter(Paging):
    """The filter of registrants: the parameters that the page and the API share."""

    q: Annotated[CleanText, Field(max_length=100, description="Text in any field.")] = ""
    status: Annotated[Status | Literal[""], Field(description="Only those with this status.")] = ""

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
    """One page of the registrants that the user may see; the latest webinar first, then by name.

    Raises PageGone, and PageTooFar when there are too many to count.
    """
    query = PAGE_RIGHTS.restrict(select(WebinarRegistrant).where(wanted.condition()), user, TABLE)
    return await _page(session, query, wanted, per_page)


async def list_columns(
    session: AsyncSession, user: User | None, wanted: Paging, *, per_page: int
) -> list[dict[str, Any]]:
    """The same as dictionaries, for an answer in JSON: without a user, of what everyone may see.

    Raises PageGone, PageTooFar.
    """
    names = _PUBLIC if user is None else (*_PUBLIC, *_PRIVATE)
    query: Any = select(*(_TABLE.c[name] for name in names)).select_from(WebinarRegistrant)
    if user is None:
        query = query.where(col(WebinarRegistrant.is_public).is_(True))
    else:
        query = PAGE_RIGHTS.restrict(query, user, TABLE)
    if isinstance(wanted, RegistrantFilter):
        query = query.where(wanted.condition())
    return [dict(zip(names, row, strict=True)) for row in await _page(session, query, wanted, per_page)]


async def count(session: AsyncSession, user: User, wanted: RegistrantFilter) -> tuple[Count, Count]:
    """Return the number of registrants that the user may see, and of those that match the filter."""
    everyone: Any = PAGE_RIGHTS.restrict(select(literal_column("1")).select_from(WebinarRegistrant), user, TABLE)
    everyone = everyone.order_by(*(key.order() for key in _ORDER))
    sees_all = everyone.whereclause is None
    total = await (count_table(session, _TABLE) if sees_all else count_matching(session, everyone))
    if not (wanted.q.strip() or wanted.status):
        return total, total
    return total, await count_matching(session, everyone.where(wanted.condition()))


async def find(
    session: AsyncSession, user: User, registrant_id: uuid.UUID, action: Action = "view", *, lock: bool = False
) -> WebinarRegistrant | None:
    """A registrant on whom the user may do this, or None. `lock` makes others who would change them wait."""
    query = select(WebinarRegistrant).where(col(WebinarRegistrant.id) == registrant_id)
    query = PAGE_RIGHTS.restrict(query, user, TABLE, action)
    if lock:
        # No-op on SQLite, where a transaction begins as the only writer. Read again, since others may have written.
        query = query.with_for_update().execution_options(populate_existing=True)
    return (await session.exec(query)).one_or_none()


async def list_public(session: AsyncSession, *, page: int = 1, per_page: int = MAX_PER_PAGE) -> list[WebinarRegistrant]:
    """Return one page of the public registrants, grouped by webinar: the latest first. Raises PageTooFar."""
    query = select(WebinarRegistrant).where(col(WebinarRegistrant.is_public).is_(True))
    return await _page(session, query, Paging(page=page), per_page)


async def count_public(session: AsyncSession) -> Audience:
    """Count the public registrants; where there are many, the webinars and companies of the first of them."""
    public = select(WebinarRegistrant.webinar_title, WebinarRegistrant.company).where(
        col(WebinarRegistrant.is_public).is_(True)
    )
    some = public.order_by(*(key.order() for key in _ORDER)).limit(COUNTED + 1).subquery().columns
    query = select(func.count(), func.count(some.webinar_title.distinct()), func.count(some.company.distinct()))
    counted = (await session.exec(query)).one()
    if counted[0] <= COUNTED:
        return Audience(*map(Count, counted))
    return Audience(Count(COUNTED, "more than"), *(Count(number, "at least") for number in counted[1:]))


async def _page(session: AsyncSession, query: Select[Any], wanted: Paging, per_page: int) -> list[Any]:
    offset, start = (wanted.page - 1) * per_page, wanted.after or wanted.before
    backwards = wanted.after is None and start is not None
    keys = reversed_order(_ORDER) if backwards else _ORDER
    if start is not None:
        own: Any = select(*(key.expression for key in _ORDER)).where(col(WebinarRegistrant.id) == start)
        place = (await session.exec(own)).one_or_none()
        if place is None:
            raise PageGone
        query, offset = query.where(rows_after(keys, place)), 0
    elif offset >= NUMBERED_UP_TO:
        if (await count_matching(session, query)).is_exact:
            return []
        raise PageTooFar
    paged: Any = query.order_by(*(key.order() for key in keys)).limit(per_page).offset(offset)
    rows = list((await session.exec(paged)).all())
    return rows[::-1] if backwards else rows
