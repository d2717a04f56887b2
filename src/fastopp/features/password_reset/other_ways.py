"""The ways to sign in to an account that a new password does not close: identities at providers, and passkeys."""

from __future__ import annotations

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.accounts.models import User
from fastopp.features.passkeys.models import Passkey
from fastopp.features.passkeys.registering import list_passkeys
from fastopp.features.providers.identities import list_identities
from fastopp.features.providers.models import ExternalIdentity
from fastopp.features.providers.provider import title_of
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from fastopp.settings import Settings


async def find_other_ways(session: AsyncSession, user: User, settings: Settings) -> list[str]:
    """Return the names of an account's identities and passkeys, for its owner."""
    identities = await list_identities(session, user.id)
    named = [
        f"{title_of(settings, row.provider)} ({row.email})" if row.email else title_of(settings, row.provider)
        for row in identities
    ]
    return [*named, *(passkey.name for passkey in await list_passkeys(session, user))]


async def remove_other_ways(session: AsyncSession, user: User) -> None:
    """Remove an account's identities and passkeys, and the second factor that would keep its owner out."""
    for model in (ExternalIdentity, Passkey, SecondFactor, RecoveryCode):
        await session.exec(delete(model).where(col(model.user_id) == user.id))
