"""INSERT … ON CONFLICT, which both databases speak alike but SQLAlchemy offers for each apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.dialects.postgresql import Insert


def insert(session: AsyncSession, model: type[SQLModel] | Table) -> Insert:
    """An INSERT into a table with `on_conflict_do_update` and `on_conflict_do_nothing`.

    Typed as PostgreSQL's; SQLite's has the same methods with the same arguments.
    """
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql  # noqa: PLC0415 - one of the two

        return insert_postgresql(model)
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite  # noqa: PLC0415 - one of the two

    return insert_sqlite(model)  # type: ignore[return-value] # see the docstring
