"""Encrypt the secrets of all second factors under the present SECRET_KEY, so that the one before can be removed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.session import Database
from fastopp.features.second_factor.encryption import SecretUnreadable, renew
from fastopp.features.second_factor.models import SecondFactor
from fastopp.settings import Settings

AT_ONCE: Final = 200  # rows of one transaction
_FIRST: Final = uuid.UUID(int=0)


@dataclass
class Renewal:
    """The numbers of secrets that were encrypted again, and of those that neither key opens."""

    renewed: int = 0
    unreadable: int = 0
    after: uuid.UUID | None = _FIRST
    """The account that was looked at last; None when all were."""

    @property
    def message(self) -> str:
        """Both in one sentence."""
        text = f"Second factors that were encrypted with the present SECRET_KEY: {self.renewed}."
        if self.unreadable:
            text += f" Readable with neither key: {self.unreadable}. These accounts need a recovery code or a reset."
        return text


async def renew_some(database: Database, settings: Settings, renewal: Renewal) -> None:
    """Look at the next accounts, and note in `renewal` what became of them. Raises DatabaseUnavailable."""
    async with database.transaction() as session:
        rows = await _next(session, renewal.after or _FIRST)
        for user_id, secret in rows:
            try:
                renewed = renew(secret, user_id, settings)
            except SecretUnreadable:
                renewal.unreadable += 1
                continue
            if renewed is not None:
                # The one that was read, and not one that its owner has set up meanwhile.
                same = col(SecondFactor.user_id) == user_id, col(SecondFactor.secret) == secret
                await session.exec(update(SecondFactor).where(*same).values(secret=renewed))
                renewal.renewed += 1
    renewal.after = rows[-1][0] if len(rows) == AT_ONCE else None


async def count_old(session: AsyncSession, settings: Settings) -> int:
    """Return how many secrets are not encrypted under the present key. Reads all of them, a few at a time."""
    old, after = 0, _FIRST
    while rows := await _next(session, after):
        old += sum(_is_old(secret, user_id, settings) for user_id, secret in rows)
        after = rows[-1][0]
    return old


def _is_old(secret: str, user_id: uuid.UUID, settings: Settings) -> bool:
    try:
        return renew(secret, user_id, settings) is not None
    except SecretUnreadable:
        return False  # removing the previous key changes nothing for it


async def _next(session: AsyncSession, after: uuid.UUID) -> list[tuple[uuid.UUID, str]]:
    of_user = col(SecondFactor.user_id)
    query = select(SecondFactor.user_id, SecondFactor.secret).where(of_user > after).order_by(of_user).limit(AT_ONCE)
    return [(user_id, secret) for user_id, secret in await session.exec(query)]
