"""The contents of the database, table by table."""

from __future__ import annotations

from sqlalchemy import inspect
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.counting import Count, count_table


async def table_names(session: AsyncSession) -> list[str]:
    """Return every table of the database, including those of other programs."""
    connection = await session.connection()
    return sorted(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def count_rows(session: AsyncSession) -> dict[str, Count]:
    """Rows of each table that the framework or an app has a model for; those not made yet are left out."""
    known = SQLModel.metadata.tables
    return {name: await count_table(session, known[name]) for name in await table_names(session) if name in known}
