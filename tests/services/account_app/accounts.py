"""Export and delete the orders of an account."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp import User
from tests.services.account_app.models import Order


async def export_account(session: AsyncSession, user: User) -> AsyncIterator[dict[str, Any]]:
    for order in (await session.exec(select(Order).where(col(Order.user_id) == user.id))).all():
        yield {"title": order.title}


async def delete_account(session: AsyncSession, user: User) -> None:
    for order in (await session.exec(select(Order).where(col(Order.user_id) == user.id))).all():
        await session.delete(order)
